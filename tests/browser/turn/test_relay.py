"""Chromium calls through the agent's coturn on loopback, as the local demo does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from kit.turn_agent import AgentProcess, claimed_ports, key_set, new_key, unavailable
from kit.turn_client import credential
from playwright.async_api import Page, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REASON = unavailable() or (None if CHROMIUM else "Chromium is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.coturn,
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]

CALL = """async ({url, username, credential}) => {
  const config = {iceServers: [{urls: [url], username, credential}], iceTransportPolicy: 'relay'};
  const caller = new RTCPeerConnection(config), callee = new RTCPeerConnection(config);
  const candidates = [];
  for (const [from, to] of [[caller, callee], [callee, caller]])
    from.onicecandidate = ({candidate}) => {
      if (!candidate) return;
      candidates.push(candidate.type);
      to.addIceCandidate(candidate);
    };
  const media = await navigator.mediaDevices.getUserMedia({audio: true});
  caller.addTrack(media.getTracks()[0], media);
  await caller.setLocalDescription();
  await callee.setRemoteDescription(caller.localDescription);
  await callee.setLocalDescription();
  await caller.setRemoteDescription(callee.localDescription);

  const nominated = (stats) => {
    for (const item of stats.values()) {
      if (item.type !== 'transport' || !item.selectedCandidatePairId) continue;
      const pair = stats.get(item.selectedCandidatePairId);
      return {
        local: stats.get(pair.localCandidateId).candidateType,
        remote: stats.get(pair.remoteCandidateId).candidateType,
        protocol: stats.get(pair.localCandidateId).relayProtocol,
      };
    }
  };
  const deadline = performance.now() + 15000;
  let heard = 0, pair;
  while (performance.now() < deadline && !(pair && heard > 20)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const stats = await callee.getStats();
    pair = nominated(stats);
    for (const item of stats.values()) if (item.type === 'inbound-rtp') heard = item.packetsReceived;
  }
  const state = caller.connectionState;
  caller.close();
  callee.close();
  return {candidates, pair, heard, state};
}"""


async def open_page(page: Page) -> None:
    """A secure context (cameras need one) without a server."""
    await page.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.goto("http://localhost/")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_relayed_call_is_heard_over_loopback(tmp_path: Path, transport: str) -> None:
    key = new_key("k1")
    with claimed_ports() as ports:
        async with (
            AgentProcess(tmp_path, ports, key_set(key), {"USER_QUOTA": "24"}) as agent,
            async_playwright() as playwright,
        ):
            await agent.ready()
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[
                    "--no-sandbox",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                ],
            )
            page = await browser.new_page()
            await open_page(page)
            username, password = credential(key, "member")
            url = f"turn:127.0.0.1:{agent.listening_port}?transport={transport}"

            call: dict[str, Any] = await page.evaluate(
                CALL, {"url": url, "username": username, "credential": password}
            )

            await browser.close()
    assert set(call["candidates"]) == {"relay"}
    assert call["state"] == "connected"
    assert call["pair"] == {"local": "relay", "remote": "relay", "protocol": transport}
    assert call["heard"] > 20
