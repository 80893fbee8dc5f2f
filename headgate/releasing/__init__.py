"""The acts of a release: begin, compile, check, stage, shift, watch, conclude; their order; the sweep. Repeatable; none
knows Prefect.
"""

from headgate.releasing.begin import begin, resume
from headgate.releasing.conclude import carry_out, decide, over, publish
from headgate.releasing.course import PLAIN, Acts, carry_on, end, go_back, walk
from headgate.releasing.prepare import check, checks_of, compile_bundle, stage
from headgate.releasing.replay import Replayed, replay
from headgate.releasing.restore import abort_open_release, begin_rollback
from headgate.releasing.run import Desk, Ending, Run, ending_of
from headgate.releasing.telling import story_of
from headgate.releasing.traffic import consent, remaining, shift
from headgate.releasing.waits import await_consent, await_turn, bake, sleep
from headgate.releasing.watch import Watch, evidence_of

__all__ = [
    "PLAIN",
    "Acts",
    "Desk",
    "Ending",
    "Replayed",
    "Run",
    "Watch",
    "abort_open_release",
    "await_consent",
    "await_turn",
    "bake",
    "begin",
    "begin_rollback",
    "carry_on",
    "carry_out",
    "check",
    "checks_of",
    "compile_bundle",
    "consent",
    "decide",
    "end",
    "ending_of",
    "evidence_of",
    "go_back",
    "over",
    "publish",
    "remaining",
    "replay",
    "resume",
    "shift",
    "sleep",
    "stage",
    "story_of",
    "walk",
]
