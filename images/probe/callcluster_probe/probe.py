"""Places the call that is asked for: of two members directly, or of more through the SFU."""

from __future__ import annotations

import asyncio
import time

from callcluster_probe.group import GroupCall
from callcluster_probe.pair import PairCall
from callcluster_probe.report import GroupReport, Report
from callcluster_probe.scenario import ProbeError, ProbeSettings

TIDY_UP_S = 5.0


async def probe(settings: ProbeSettings) -> Report | GroupReport:
    """Place the call. What a deployment does wrong stands in the report; the timeout always holds."""
    started = time.monotonic()
    call = PairCall(settings) if settings.members == 2 else GroupCall(settings)
    failed = Report if settings.members == 2 else GroupReport
    report: Report | GroupReport
    try:
        async with asyncio.timeout(settings.timeout):
            report = await call.run()
    except ProbeError as failure:
        report = failed(ok=False, error=str(failure))
    except TimeoutError:
        report = failed(ok=False, error=f"after {settings.timeout:g} s: {call.trouble()}")
    finally:
        seconds = round(time.monotonic() - started, 3)
        await asyncio.wait([asyncio.create_task(call.close())], timeout=TIDY_UP_S)
    report.seconds = seconds
    return report
