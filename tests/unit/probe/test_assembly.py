from callcluster_probe.assembly import WAIT_FRAMES, FrameAssembler, Part


def packets(first, count, name):
    """A frame of `count` packets: sequence numbers and parts."""
    return [
        ((first + n) % 65536, Part(n == 0, n == count - 1, f"{name}{n};".encode())) for n in range(count)
    ]


def feed(assembler, items):
    lost, frames = False, []
    for sequence, part in items:
        gone, done = assembler.add(sequence, part)
        lost |= gone
        frames += done
    return lost, frames


def test_a_frame_comes_out_with_its_last_packet():
    assert feed(FrameAssembler(), packets(10, 3, "a")) == (False, [b"a0;a1;a2;"])


def test_what_comes_before_the_first_start_is_left_out():
    stray = (9, Part(False, True, b"end of something"))
    assert feed(FrameAssembler(), [stray, *packets(10, 1, "a")]) == (False, [b"a0;"])


def test_late_packets_hold_later_frames_back_until_they_come():
    a, b = packets(10, 3, "a"), packets(13, 2, "b")
    assembler = FrameAssembler()
    assert feed(assembler, [a[0], a[2], *b]) == (False, [])
    assert feed(assembler, [a[1]]) == (False, [b"a0;a1;a2;", b"b0;b1;"])


def test_doubled_packets_change_nothing():
    a = packets(10, 2, "a")
    assert feed(FrameAssembler(), [a[0], a[0], a[1], a[1], a[0]]) == (False, [b"a0;a1;"])


def test_sequence_numbers_wrap():
    items = [*packets(65534, 3, "a"), *packets(1, 2, "b")]
    assert feed(FrameAssembler(), items) == (False, [b"a0;a1;a2;", b"b0;b1;"])


def test_padding_between_frames_is_skipped():
    padding = (12, Part(False, False, b""))
    items = [*packets(10, 2, "a"), padding, *packets(13, 1, "b")]
    assert feed(FrameAssembler(), items) == (False, [b"a0;a1;", b"b0;"])


def test_a_packet_that_does_not_come_costs_its_frame_alone():
    assembler = FrameAssembler()
    feed(assembler, packets(0, 1, "first"))
    broken = packets(1, 3, "x")
    later = [item for n in range(WAIT_FRAMES) for item in packets(4 + n, 1, f"late{n}-")]
    lost, frames = feed(assembler, [broken[0], broken[2], *later])
    assert lost
    assert frames == [f"late{n}-0;".encode() for n in range(WAIT_FRAMES)]
    assert feed(assembler, [broken[1]]) == (False, [])


def test_a_lost_start_costs_its_frame_alone():
    assembler = FrameAssembler()
    feed(assembler, packets(0, 1, "first"))
    later = [item for n in range(WAIT_FRAMES) for item in packets(3 + n, 1, f"late{n}-")]
    lost, frames = feed(assembler, [packets(1, 2, "x")[1], *later])
    assert lost
    assert len(frames) == WAIT_FRAMES
