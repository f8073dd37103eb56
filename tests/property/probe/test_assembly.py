from callcluster_probe.assembly import FrameAssembler, Part
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def disturbed_streams(draw):
    """Frames, and their packets as a bad network delivers them: lost, doubled, a little late."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=25))
    sequence = draw(st.integers(0, 65535))
    frames, stream = [], []
    for number, size in enumerate(sizes):
        parts = [f"{number}.{n} ".encode() for n in range(size)]
        frames.append(b"".join(parts))
        for n, data in enumerate(parts):
            stream.append((sequence % 65536, Part(n == 0, n == size - 1, data)))
            sequence += 1
    fates = draw(st.lists(st.sampled_from([0, 1, 1, 1, 1, 2]), min_size=len(stream), max_size=len(stream)))
    delays = draw(st.lists(st.integers(0, 4), min_size=len(stream), max_size=len(stream)))
    sent = [
        (at + delay, item)
        for at, (item, fate, delay) in enumerate(zip(stream, fates, delays, strict=True))
        for _ in range(fate)
    ]
    return (
        frames,
        [item for _, item in sorted(sent, key=lambda entry: entry[0])],
        all(fates) and not any(delays),
    )


@given(disturbed_streams())
def test_only_whole_frames_come_out_each_once_and_in_order(stream):
    frames, delivered, clean = stream
    assembler = FrameAssembler()
    out = [frame for sequence, part in delivered for frame in assembler.add(sequence, part)[1]]
    numbers = [frames.index(frame) for frame in out]
    assert numbers == sorted(set(numbers))
    if clean:
        assert out == frames


@given(
    st.lists(
        st.tuples(st.integers(0, 65535), st.booleans(), st.booleans(), st.binary(max_size=4)), max_size=80
    )
)
def test_no_stream_of_packets_breaks_it(items):
    assembler = FrameAssembler()
    for sequence, start, end, data in items:
        assembler.add(sequence, Part(start, end, data))
