import pytest

from aegis.promotion.gain import Gain, read_gain


@pytest.mark.parametrize(
    ("interval", "verdict", "is_loss"),
    [
        ((-0.113, -0.021), "measured worse", True),
        ((-0.02, 0.05), "no sure difference", False),
        ((0.01, 0.09), "measured better", False),
    ],
)
def test_a_gain_is_called_a_loss_only_if_its_whole_interval_lies_below_zero(interval, verdict, is_loss):
    low, high = interval
    gain = Gain((low + high) / 2, low, high, over="hrm@1")
    assert gain.describe().startswith("gain over hrm@1 ")
    assert gain.describe().endswith(f"(95% interval {interval[0]:+.3f} to {interval[1]:+.3f}): {verdict}")
    assert gain.is_loss is is_loss


def test_figures_without_a_measurement_have_no_gain():
    assert read_gain({"accuracy": 0.8}) is None
    figures = {
        "improvement": {"gain": -0.067, "gain_interval": [-0.113, -0.021]}
    }  # an earlier version of AEGIS named no base
    assert read_gain(figures) == Gain(-0.067, -0.113, -0.021, "")
