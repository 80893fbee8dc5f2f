"""The acts of a release as Prefect tasks, for whoever walks with them."""

from __future__ import annotations

from headgate.releasing import Acts
from tasks.begin import put_aside
from tasks.conclude import decide, over, promote, report, roll_back
from tasks.prepare import check, compile_bundle, stage, validate
from tasks.traffic import await_consent, await_turn, bake, shift, sleep, steps_of

TASKS = Acts(
    over=over,
    await_turn=await_turn,
    compile_bundle=compile_bundle,
    validate=validate,
    check=check,
    await_consent=await_consent,
    stage=stage,
    steps_of=steps_of,
    shift=shift,
    bake=bake,
    sleep=sleep,
    decide=decide,
    promote=promote,
    roll_back=roll_back,
    report=report,
    put_aside=put_aside,
)
