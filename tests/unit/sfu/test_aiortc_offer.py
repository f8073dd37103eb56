from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from callcluster_sfu.negotiation import Forward
from callcluster_sfu.sdp import parse
from kit.sfu_offers import SfuSide


async def test_aiortc_and_the_sfu_agree_over_two_offers() -> None:
    side = SfuSide()
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTrack(AudioStreamTrack())
    client.addTrack(VideoStreamTrack())
    try:
        await client.setLocalDescription(await client.createOffer())
        outcome = side.answer(parse(client.localDescription.sdp))
        assert [track.codec for track in outcome.state.published] == ["opus", "vp8"]
        await _apply(client, side.answer_text(parse(client.localDescription.sdp)))

        receiving = client.addTransceiver("video", direction="recvonly")
        await client.setLocalDescription(await client.createOffer())
        forward = Forward(track=50, kind="video", codec="vp8", stream="bob", name="t")
        text = side.answer_text(parse(client.localDescription.sdp), {receiving.mid: forward})
        await _apply(client, text)
        assert [leg.track for leg in side.state.legs] == [50]
        assert len(side.state.published) == 2
        assert receiving.currentDirection == "recvonly"
        assert [item.currentDirection for item in client.getTransceivers()] == [
            "sendonly",
            "sendonly",
            "recvonly",
        ]
    finally:
        await client.close()


async def _apply(client: RTCPeerConnection, text: str) -> None:
    await client.setRemoteDescription(RTCSessionDescription(text, "answer"))
