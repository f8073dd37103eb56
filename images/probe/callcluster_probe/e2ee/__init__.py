"""End-to-end encryption, suite ``kx1``, of ``docs/e2ee.md``. No I/O, no clock: time comes in."""
