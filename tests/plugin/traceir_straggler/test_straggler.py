"""The plug-in's own tests, by traceir's kit; where it is installed, `pytest --pyargs traceir_straggler` runs them."""

from hypothesis import given, settings

import traceir as tir
from traceir.testing import assert_pass, assert_sound, modules

from .straggler import Straggler, StragglerReport

BEFORE = """#[traceir "1"]
module @before {
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  %1 = dev.kernel("gemm") @gpu0.s7 [0 +100];
  %2 = dev.kernel("gemm") @gpu0.s7 [200 +110];
  %3 = dev.kernel("gemm") @gpu0.s7 [400 +90];
  %4 = dev.kernel("gemm") @gpu0.s7 [600 +500];
  %5 = dev.memcpy("copy") @gpu0.s7 [1200 +900];
}
"""
# The median of gemm, of four the upper one, is 110 ns.
AFTER = BEFORE.replace("+500]", "+500] {straggler.excess=390}")


def test_a_kernel_far_above_the_median_of_its_name_is_a_straggler() -> None:
    """Other names and copies do not count."""
    after = assert_pass(BEFORE, AFTER, Straggler())
    assert Straggler().report(after) == StragglerReport(kernels=1, excess_ns=390)


def test_the_factor_says_how_far() -> None:
    """At five times the median nothing is one."""
    assert_pass(BEFORE, BEFORE, Straggler(factor=5.0))


@settings(deadline=None, max_examples=50)
@given(modules())
def test_it_only_annotates_whatever_there_is(module: tir.Module) -> None:
    """Any module keeps its events; removed kernels, and what is no kernel, get no value."""
    after = tir.PassManager([Straggler(factor=1.0)]).run(module)
    assert_sound(after)
    assert after["ts"] is module["ts"]
    marked = after["straggler.excess"] != tir.NULL_I64
    assert not (marked & ~(module.live & module.is_kind("dev.kernel"))).any()
