from callcluster_common.rates import Bucket, Rate


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(Rate(10, 5), 0.0)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0] * 5
    assert 0 < bucket.take(0.0) <= 0.1
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.1) > 0
    assert [bucket.take(1000.0) for _ in range(6)].count(0.0) == 5
