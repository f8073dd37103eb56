"""Joining: from the call of join() to the first decrypted video frame of the other member, in Chromium.

The other member is in the room already and sends. Media is acquired before, as in the page's lobby.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics

from browser.app.chromium import CAMERA_30_FPS, chromium
from browser.sdk.tabs import Tab
from kit.demo import demo

FIRST_FRAME = """async ({ url, room, relay }) => {
    const { Call } = await import('/sdk/index.js')
    const video = { width: 320, height: 240 }
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video })
    const secret = Uint8Array.from({ length: 32 }, (_, index) => index)
    const iceTransportPolicy = relay ? 'relay' : 'all'
    const call = new Call({ url, room, secret, name: '', iceTransportPolicy })
    await call.setTrack('mic', stream.getAudioTracks()[0])
    await call.setTrack('cam', stream.getVideoTracks()[0])
    const shown = new Promise((resolve) => {
        call.addEventListener('track', ({ detail: { source, track } }) => {
            if (source !== 'cam' || !track) return
            const video = document.createElement('video')
            Object.assign(video, { autoplay: true, muted: true, srcObject: new MediaStream([track]) })
            document.body.append(video)
            video.requestVideoFrameCallback(() => resolve(performance.now()))
        })
    })
    const started = performance.now()
    await call.join()
    const joined = performance.now()
    const first = await shown
    await call.leave()
    return { joined: joined - started, first: first - started }
}"""


async def measure(rounds: int, *, relay: bool) -> tuple[list[float], list[float]]:
    """Milliseconds to the answer of join, and to the first frame, of each round."""
    joined: list[float] = []
    first: list[float] = []
    async with demo() as running, chromium(args=CAMERA_30_FPS) as browser:
        for number in range(rounds + 1):
            room = f"join-{number}"
            policy = "relay" if relay else "all"
            waiting = await Tab.open(browser, running.port)
            await waiting.join(room, iceTransportPolicy=policy)
            joiner = await Tab.open(browser, running.port)
            options = {"url": running.url, "room": room, "relay": relay}
            times = await joiner.page.evaluate(FIRST_FRAME, options)
            if number:  # the first round warms the browser up
                joined.append(times["joined"])
                first.append(times["first"])
            await joiner.page.close()
            await waiting.page.close()
    return joined, first


async def main() -> None:
    """Measure direct and relayed joins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 11
    for relay in (False, True):
        joined, first = await measure(rounds, relay=relay)
        route = "relayed" if relay else "direct"
        figures = (
            (f"join to first decrypted frame, {route}", first, "" if relay else "<= 800"),
            (f"join to roster, {route}", joined, ""),
        )
        for name, values, aim in figures:
            figure = {"bench": "join", "name": name, "unit": "ms", "median": statistics.median(values)}
            print(json.dumps({**figure, "values": values, **({"aim": aim} if aim else {})}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
