//! The program's own spans and events.

use loopd_model::{EventKind, MarkLevel};
use tracing::Instrument;

use crate::collector::Collector;
use crate::{Cast, FLUSH, Way, agent_for, current_thread};

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn check(way: Way) {
    let collector = Collector::start();
    let agent = agent_for(&collector, way);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let cast = Cast::default();
    runtime.block_on(async {
        let cast = cast.clone();
        tokio::spawn(async move {
            cast.enter("task");
            let outer = tracing::info_span!("outer", order = 17, late = tracing::field::Empty);
            async {
                tracing::Span::current().record("late", "known");
                tracing::debug!("not let through");
                tracing::warn!(name: "paid", left = ?Some(1), "paid {}", "in full");
                async { tokio::task::yield_now().await }
                    .instrument(tracing::info_span!("inner"))
                    .await;
                tracing::debug_span!("nor this").in_scope(|| ());
                tracing::info!(target: "elsewhere", "nor that");
            }
            .instrument(outer)
            .await;
        })
        .await
        .unwrap();
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let spans: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::AppSpan {
                span,
                parent,
                task,
                name,
                target,
                opened_at,
                busy_time,
                fields,
                ..
            } => {
                assert!(*busy_time > 0 && busy_time + opened_at.0 <= event.at.0);
                assert_eq!((task.0, target.as_str()), (cast.id("task"), "tracing::app"));
                Some((name.as_str(), span.0, parent.0, fields.clone()))
            }
            _ => None,
        })
        .collect();
    let [inner, outer] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((inner.0, inner.2, outer.0, outer.2), ("inner", outer.1, "outer", 0));
    assert_eq!(outer.3, [pair("order", "17"), pair("late", "known")]);
    let marks: Vec<_> =
        seen.events().filter(|event| matches!(event.kind, EventKind::Mark { .. })).collect();
    let [mark] = &marks[..] else { panic!("{marks:?}") };
    let EventKind::Mark { task, level, target, message, fields, location } = &mark.kind else {
        unreachable!()
    };
    assert_eq!((task.0, *level), (cast.id("task"), MarkLevel::Warn));
    assert_eq!((target.as_str(), message.as_str()), ("tracing::app", "paid in full"));
    assert_eq!(*fields, [pair("left", "Some(1)")]);
    let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
    assert!(places.find(|place| place.id == *location).unwrap().file.ends_with("app.rs"));
}

#[test]
fn spans_and_events_that_the_filter_lets_through_are_recorded() {
    check(Way::Only);
}

#[test]
fn a_layer_in_the_programs_subscriber_hears_the_same() {
    check(Way::Layer);
}
