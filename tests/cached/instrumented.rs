//! `#[tracing::instrument]` above and below.

use super::*;
use std::sync::Mutex;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the names of the spans that it saw.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<&'static str>>>);

impl Spans {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == module_path!()
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut names = self.0.lock().unwrap();
        names.push(span.metadata().name());
        Id::from_u64(names.len() as u64)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tracing::instrument(skip_all, fields(id))]
#[cached(key = "above:{id}", skip(source))]
async fn above(source: Source, id: u64) -> Result<User, String> {
    Ok(source.find(id))
}

#[cached(key = "below:{id}", skip(source))]
#[tracing::instrument(skip(source), err)]
async fn below(source: &Source, id: u64) -> Result<User, String> {
    Ok(source.find(id))
}

struct Users(Source);

impl Users {
    #[tracing::instrument(skip_all)]
    #[cached(key = "method-above:{id}")]
    async fn method_above(&self, id: u64) -> User {
        self.0.find(id)
    }

    #[cached(key = "method-below:{id}")]
    #[tracing::instrument(name = "finding", skip(self))]
    async fn method_below(&self, id: u64) -> User {
        self.0.find(id)
    }
}

#[tokio::test]
async fn a_span_is_one_run_of_the_body_and_is_called_like_the_function() {
    let (spans, source) = (Spans::default(), Source::default());
    let _guard = tracing::subscriber::set_default(spans.clone());
    let users = Users(source.clone());
    scoped(async {
        for run in 0..2 {
            above(source.clone(), 1).await.unwrap();
            below(&source, 1).await.unwrap();
            let expected: &[&str] = if run == 0 { &["above", "below"] } else { &[] };
            assert_eq!(spans.take(), expected, "a hit runs no body");
        }
        for _ in 0..2 {
            users.method_above(1).await;
            users.method_below(1).await;
        }
        let names = spans.take();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].starts_with("method_above") && names[1] == "finding", "{names:?}");
    })
    .await;
    assert_eq!(source.runs(), 4);
}
