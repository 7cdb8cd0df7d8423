"""The Dagster UI as an operator sees it, in Chromium against `dagster dev`.

The fixture materializes a range from the UI, so tests run in any order and on any worker.
Pictures are left in the test's folder, for people; two of them are in the README.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pytest
from playwright.sync_api import Page, expect

from assets.project import REFRESH, REFRESHED
from pipeline.api.simulator.rules import make_msg_id
from pipeline.maintain.audits.platform_record import logs_complete
from pipeline.maintain.audits.registry import AUDITS
from pipeline.model.tables import DELIVERY_RATES_DAILY
from tests.support.browser import running_browser
from tests.support.dagster_ui import DagsterUi, running_ui
from tests.support.places import SECRET, Place, opened_place, write_logs

pytestmark = pytest.mark.slow

CHAIN = ["sent_messages", "delivery_reports", "messages", "delivery_rates", "analytics_db", "delivery_page"]
JOB_PAGE = f"/locations/sms_delivery/jobs/{REFRESH}"
CHECKS = [*(name for name in AUDITS if name != logs_complete.__name__), "every_question_answered"]
"""Of the job: the platform's record is of another one."""
DAYS = 3


@dataclass(frozen=True)
class Desk:
    """What the operator has in front of them."""

    place: Place
    ui: DagsterUi
    first: date
    last: date

    def picture(self, page: Page, name: str) -> None:
        """Keep what the page shows, once it has come to rest."""
        page.wait_for_timeout(1500)
        page.screenshot(path=self.place.folder / f"{name}.png")


def write_settings(place: Place, first: date, *, without: tuple[str, ...] = (), **changed: str) -> None:
    """Write the `.env` that each run reads when it starts."""
    settings = place.environment | changed
    lines = [f"{n}={v}" for n, v in settings.items() if n.startswith("SMS_") and n not in without]
    (place.folder / ".env").write_text("\n".join([*lines, f"SMS_START_DATE={first}"]))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with opened_place(tmp_path_factory.mktemp("ui")) as place:
        last = write_logs(place, 3000, DAYS).date()
        first = last - timedelta(days=DAYS - 1)
        write_settings(place, first)
        with running_browser() as browser, running_ui(place, browser) as ui:
            yield Desk(place, ui, first, last)


@pytest.fixture(scope="module")
def run_id(desk: Desk) -> str:
    """Materialize the range from the UI; return the one run that came of it."""
    with desk.ui.page(JOB_PAGE) as page:
        run_id, status = launch_range(page, desk)
    assert status == "SUCCESS"
    return run_id


def launch_range(page: Page, desk: Desk) -> tuple[str, str]:
    """Materialize the range from the job's page; return the one run that came of it."""
    known = set(desk.ui.runs())
    page.get_by_role("button", name="Materialize all").first.click()
    choose_range(page, desk)
    return desk.ui.ended_run(besides=known)


def choose_range(page: Page, desk: Desk) -> None:
    """Fill the range into the dialog that is open, and launch. A question before it would keep the box from showing."""
    box = page.locator("[role=dialog] input[type=text]").first
    box.fill(f"[{desk.first}...{desk.last}]")
    box.press("Enter")
    page.get_by_role("button", name="Launch").last.click()


def test_the_graph_shows_the_assets_in_order(desk: Desk) -> None:
    with desk.ui.page("/asset-groups/") as page:
        places = []
        for name in CHAIN:
            drawn = page.locator("foreignObject").get_by_text(name, exact=True).first
            expect(drawn).to_be_visible()
            box = drawn.bounding_box()
            assert box is not None
            places.append(box["x"])
        assert places == sorted(places)
        desk.picture(page, "graph_in_order")


def test_materializing_a_range_is_one_run_that_succeeds(desk: Desk, run_id: str) -> None:
    assert [run for run, status in desk.ui.runs().items() if status == "SUCCESS"] == [run_id]
    with desk.ui.page(f"/runs/{run_id}") as page:
        expect(page.get_by_text(f"{len(REFRESHED)} assets")).to_be_visible()
        expect(page.get_by_text(f"{len(CHECKS)} checks")).to_be_visible()
    with desk.ui.page("/asset-groups/") as page:
        expect(page.locator("foreignObject").first).to_be_visible()
        page.wait_for_timeout(3000)
        desk.picture(page, "graph")


@pytest.mark.usefixtures("run_id")
def test_the_numbers_of_each_day_are_those_of_the_published_file(desk: Desk) -> None:
    names = ("sent", "delivered", "failed", "outstanding", "delivery_rate", "latency_p95_seconds")
    rows = desk.place.query(f"SELECT sent_date::VARCHAR, {', '.join(names)} FROM delivery_by_day")
    shown = desk.ui.numbers("delivery_rates")
    assert len(rows) == DAYS
    for day, *figures in rows:
        assert [shown[str(day)][name] for name in names] == pytest.approx(figures, rel=1e-9)
    day, sent, *_ = rows[0]
    with desk.ui.page(f"/assets/delivery_rates?view=partitions&partition={day}") as page:
        row = page.locator("tr", has=page.get_by_text("sent", exact=True))
        expect(row.first).to_contain_text(f"{sent}")


@pytest.mark.usefixtures("run_id")
def test_an_asset_shows_its_columns_with_their_meaning_and_plots(desk: Desk) -> None:
    with desk.ui.page("/assets/delivery_rates") as page:
        for column in DELIVERY_RATES_DAILY.columns[:6]:
            row = page.locator("tr", has=page.get_by_text(column.name, exact=True))
            expect(row.first).to_contain_text(column.meaning)
        page.get_by_role("button", name="Plots").click()
        expect(page.locator("canvas").first).to_be_visible()
        expect(page.get_by_text("delivery_rate", exact=True).first).to_be_visible()
        page.get_by_role("button", name="Plots").scroll_into_view_if_needed()
        desk.picture(page, "plots")


@pytest.mark.usefixtures("run_id")
def test_the_published_file_shows_a_picture_of_the_rates_and_is_fresh(desk: Desk) -> None:
    with desk.ui.page("/assets/analytics_db") as page:
        picture = page.get_by_alt_text("delivery rate by day")
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.naturalWidth") > 0
        desk.ui.wait_for_text(page, "Passing")  # the daemon judges freshness in its own time
        expect(page.get_by_text("3,000 stored")).to_be_visible()
        desk.picture(page, "published")


def test_every_check_is_there_passed_and_says_what_to_do(desk: Desk, run_id: str) -> None:
    with desk.ui.page("/assets/messages?view=checks") as page:
        expect(page.get_by_text("each_message_once").first).to_be_visible()
        expect(page.get_by_text("sms-delivery rebuild").first).to_be_visible()
        desk.picture(page, "check")
    executions = """query ($id: ID!) { pipelineRunOrError(runId: $id) { ... on Run {
      eventConnection { events { ... on AssetCheckEvaluationEvent { evaluation { checkName success } } } } } } }"""
    events = desk.ui.ask(executions, id=run_id)["pipelineRunOrError"]["eventConnection"]["events"]
    passed = {event["evaluation"]["checkName"]: event["evaluation"]["success"] for event in events if event}
    assert passed == dict.fromkeys(CHECKS, True)


def test_a_run_without_credentials_shows_the_one_line_that_says_what_to_fix(desk: Desk) -> None:
    write_settings(desk.place, desk.first, without=("SMS_API_KEY", "SMS_API_SECRET"))
    try:
        with desk.ui.page(JOB_PAGE) as page:
            failed, status = launch_range(page, desk)
    finally:
        write_settings(desk.place, desk.first)
    assert status == "FAILURE"
    with desk.ui.page(f"/runs/{failed}") as page:
        line = page.get_by_text("SMS_API_KEY").first
        expect(line).to_be_visible()
        desk.picture(page, "without_credentials")


def send(desk: Desk, count: int) -> None:
    """Log messages of the first day that nobody asked about."""
    noon = datetime.combine(desk.first, time(12), UTC)
    with (desk.place.folder / "logs" / f"sent-{desk.first}.jsonl").open("a") as log:
        for number in range(count):
            record = {"msg_id": make_msg_id(noon, 5000 + number), "sent_at": noon.isoformat(), "app_id": "app1"}
            log.write(json.dumps(record) + "\n")


@pytest.mark.usefixtures("run_id")
def test_a_range_of_the_lineage_page_is_red_while_refused_and_green_once_the_env_file_is_corrected(desk: Desk) -> None:
    send(desk, 40)
    for secret, ends in (("not-the-secret", ["FAILURE", "SUCCESS"]), (SECRET, ["SUCCESS", "SUCCESS"])):
        write_settings(desk.place, desk.first, SMS_API_SECRET=secret)
        known = set(desk.ui.runs())
        with desk.ui.page("/asset-groups/") as page:
            page.get_by_role("button", name="Materialize all").first.click()
            choose_range(page, desk)
            ended = desk.ui.ended_runs(2, besides=known)  # Dagster launches what has no partitions by itself
        assert sorted(ended.values()) == ends
        with desk.ui.page("/assets/delivery_reports?view=checks&checkDetail=every_question_answered") as page:
            expect(page.get_by_text("Failed" if "FAILURE" in ends else "Passed").first).to_be_visible()
            desk.picture(page, f"lineage_{ends[0]}")


def test_the_resource_shows_each_setting_that_is_no_secret(desk: Desk) -> None:
    with desk.ui.page("/locations/sms_delivery/resources/sms_workspace") as page:
        expect(page.get_by_text(str(desk.place.lake)).first).to_be_visible()
        expect(page.get_by_text("SMS_BATCH_SIZE", exact=True)).to_be_visible()
        assert SECRET not in page.content()
        assert "SMS_API_SECRET" not in page.content()
