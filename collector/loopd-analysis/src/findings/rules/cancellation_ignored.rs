//! Tasks that go on though they were cancelled: cannot be seen yet.

use crate::findings::{Facts, Rule, Verdict};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "cancellation_ignored", title: "Tasks that go on though cancelled", check };

fn check(_: &Facts) -> Verdict {
    Verdict::Needs("when a task is asked to cancel, which no agent records".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::rules::tests::check;

    #[test]
    fn it_says_that_it_cannot_know() {
        let line = "needs when a task is asked to cancel, which no agent records";
        check(&RULE, &Facts::default(), &[line]);
    }
}
