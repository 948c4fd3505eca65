//! The states of a job as a drawing: a list of three stages, in which the present state is marked by words and a frame.

use queue::job_state::JobState;

/// Where a job stands among all states.
#[derive(Debug)]
pub(super) struct StateDiagram {
    /// In the order in which a job passes them.
    pub(super) stages: [Stage; 4],
    /// The present state, and what can follow, in a sentence each.
    pub(super) words: String,
}

/// States of which a job is in one at a time.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    /// A state, and whether the job is there.
    pub(super) states: Vec<(&'static str, bool)>,
}

const STAGES: [(&str, &[JobState]); 4] = [
    ("Not yet", &[JobState::Held, JobState::Scheduled, JobState::Parked]),
    ("Due", &[JobState::Waiting]),
    ("At work", &[JobState::Running]),
    ("Ended", &[JobState::Done, JobState::Cancelled, JobState::Dead]),
];

impl StateDiagram {
    pub(super) fn at(here: JobState) -> Self {
        let stages = STAGES.map(|(name, states)| Stage {
            name,
            states: states.iter().map(|state| (state.as_str(), *state == here)).collect(),
        });
        Self { stages, words: words(here).to_owned() }
    }
}

const fn words(state: JobState) -> &'static str {
    match state {
        JobState::Held => "Held: another job of its lane goes first. Then it is waiting.",
        JobState::Scheduled => "Scheduled: it waits for its time or its next attempt. Then it is waiting.",
        JobState::Parked => {
            "Parked: its kind is paused, or no process knows the kind. It is waiting when the kind goes on."
        }
        JobState::Waiting => "Waiting: it is due. It runs when a worker is free and its pool is not paused.",
        JobState::Running => {
            "Running: a worker has it. Then it is done, or dead, or scheduled for its next attempt; or cancelled, if a person asks for that."
        }
        JobState::Done => "Done: it ended well. Nothing follows.",
        JobState::Cancelled => "Cancelled: a person ended it. Nothing follows.",
        JobState::Dead => "Dead: it gave up, and waits for a person. Retried, it is waiting again.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_drawn_once_and_is_marked_where_the_job_is() {
        for here in JobState::ALL {
            let diagram = StateDiagram::at(here);
            let states: Vec<_> = diagram.stages.iter().flat_map(|stage| &stage.states).collect();
            assert_eq!(states.len(), JobState::ALL.len());
            let marked: Vec<&str> =
                states.iter().filter(|(_, is_here)| *is_here).map(|(state, _)| *state).collect();
            assert_eq!(marked, [here.as_str()]);
            assert!(diagram.words.to_lowercase().starts_with(here.as_str()), "{}", diagram.words);
        }
    }
}
