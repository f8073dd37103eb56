from callcluster_probe import media
from callcluster_probe.media import TONES_HZ, Camera, Microphone, Screen, Speaker, timestamp_of


def test_pictures_are_recognised_after_encoding_and_decoding():
    camera, screen = Camera(), Screen()
    for number in (0, 1, 2, 4095, 4096, 70000):
        assert screen.show(camera.picture(number, timestamp_of("cam", number), number == 0))
    assert (screen.seen.decoded, screen.seen.matched) == (6, 6)


def test_a_picture_with_a_wrong_checksum_is_decoded_but_not_right(monkeypatch):
    camera, screen = Camera(), Screen()
    with monkeypatch.context() as patch:
        patch.setattr(media, "_checksum", lambda code: 0)
        frame = camera.picture(7, 0, True)
    assert screen.show(frame)
    assert (screen.seen.decoded, screen.seen.matched) == (1, 0)


def test_without_a_key_frame_nothing_is_decoded():
    camera = Camera()
    camera.picture(0, 0, True)
    assert not Screen().show(camera.picture(1, 9000, False))


def test_a_key_frame_comes_when_asked_for():
    camera = Camera()
    frames = [camera.picture(n, n * 9000, n in (0, 5)) for n in range(10)]
    assert [n for n, frame in enumerate(frames) if not frame[0] & 1] == [0, 5]


def test_the_other_tone_is_not_heard_as_this_one():
    microphone = Microphone(TONES_HZ[0])
    right, wrong = Speaker(TONES_HZ[0]), Speaker(TONES_HZ[1])
    for tick in range(20):
        for sound in microphone.sound(timestamp_of("mic", tick)):
            right.play(sound)
            wrong.play(sound)
    assert right.seen.decoded == wrong.seen.decoded > 15
    assert right.seen.matched >= right.seen.decoded - 1
    assert wrong.seen.matched == 0


def test_noise_is_decoded_as_nothing():
    speaker, screen = Speaker(TONES_HZ[0]), Screen()
    speaker.play(b"")
    assert not screen.show(b"\x01\x02\x03")
    assert speaker.seen.matched == screen.seen.matched == 0
