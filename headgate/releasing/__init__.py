"""The acts of a release: begin, compile, check, stage, shift, watch, conclude. Repeatable; none knows Prefect."""

from headgate.releasing.begin import begin, resume
from headgate.releasing.conclude import carry_out, decide, over, publish
from headgate.releasing.prepare import check, checks_of, compile_bundle, stage
from headgate.releasing.replay import Replayed, replay
from headgate.releasing.restore import abort_open_release, begin_rollback
from headgate.releasing.run import Desk, Ending, Run, ending_of
from headgate.releasing.telling import story_of
from headgate.releasing.traffic import Watch, consent, evidence_of, progress_file, remaining, shift

__all__ = [
    "Desk",
    "Ending",
    "Replayed",
    "Run",
    "Watch",
    "abort_open_release",
    "begin",
    "begin_rollback",
    "carry_out",
    "check",
    "checks_of",
    "compile_bundle",
    "consent",
    "decide",
    "ending_of",
    "evidence_of",
    "over",
    "progress_file",
    "publish",
    "remaining",
    "replay",
    "resume",
    "shift",
    "stage",
    "story_of",
]
