from callcluster_common.messages.types import CloseCode
from callcluster_signaling.metrics import Counts


def test_close_codes_that_clients_make_up_make_no_new_series() -> None:
    counts = Counts()
    for code in range(3000, 5000):
        counts.close(code)
    assert set(counts.closed) == {str(int(code)) for code in CloseCode} | {"other"}
    assert counts.closed["4001"] == 1
