//! The list of events, which knows what webhooks delivered.

use serde_json::Value;

use super::{ApiError, Call, Paging, Rendered, Scan};

/// How many events are looked at together.
const CHUNK: usize = 200;

impl Call<'_> {
    pub(super) fn events(&self, mut scan: Scan, paging: &Paging) -> Result<String, ApiError> {
        let types = self.params.types()?.into_iter().chain(self.params.get("type"));
        scan.types = types.map(str::to_owned).collect();
        let delivered = self.params.boolean("delivery_success")?;
        self.page(scan, paging, delivered)
    }

    /// Walks on until enough events are found that every endpoint took, or that one did not.
    pub(super) fn scan_delivered(
        &self,
        mut scan: Scan,
        take: usize,
        delivered: bool,
    ) -> Option<Vec<Rendered>> {
        let undelivered = self.sim.undelivered();
        let suits = |event: &Value| {
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
            undelivered.contains(id) != delivered
        };
        let mut matching = Vec::new();
        loop {
            let found: Vec<Value> =
                self.sim.inner.world.scan(&scan, CHUNK)?.into_iter().map(Rendered::into_value).collect();
            let last = found.len() < CHUNK;
            let upward = scan.before.is_some();
            let next = if upward { found.first() } else { found.last() };
            let next = next.and_then(|value| value.get("id")).and_then(Value::as_str).map(str::to_owned);
            let chunk = found.into_iter().filter(&suits);
            let chunk: Vec<Rendered> = chunk.map(|event| Rendered::Value(event.into())).collect();
            if upward {
                matching.splice(0..0, chunk);
                scan.before = next;
            } else {
                matching.extend(chunk);
                scan.after = next;
            }
            if last || matching.len() >= take {
                let surplus = if upward { matching.len().saturating_sub(take) } else { 0 };
                matching.drain(..surplus);
                matching.truncate(take);
                return Some(matching);
            }
        }
    }
}
