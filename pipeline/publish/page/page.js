// Draw the charts into their places, and let the reader choose how many days they show.
(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const options = {
    actions: false,
    ast: true, // without it Vega needs eval, which the policy forbids
    config: read("config"),
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };

  const draw = async (place) => {
    const { view } = await vegaEmbed(place, charts[place.dataset.chart], options);
    place.view = view;
    return view;
  };

  const places = [...document.querySelectorAll("[data-chart]")];
  const drawn = Promise.all(places.map(draw));

  const show = async (days) => {
    for (const view of await drawn) {
      if ("span" in view.getState().signals) await view.signal("span", days).runAsync();
    }
  };

  for (const button of document.querySelectorAll("input[name=span]")) {
    button.addEventListener("change", () => show(Number(button.value)));
  }

  drawn.then(
    () => document.documentElement.classList.add("drawn"),
    (error) => {
      document.documentElement.classList.add("broken");
      throw error;
    },
  );
})();
