//! Nested lists: what Stripe cut off after ten.

use catalog::{Decoder, Incomplete, Resource};
use stripe_api::Answer;

use crate::{SyncError, asking, fetch::Fetch};

impl Fetch {
    /// Fetches what nested lists left out (trap 12).
    pub(crate) async fn complete(
        &self,
        resource: &'static Resource,
        incomplete: Vec<Incomplete>,
        decoder: &mut Decoder,
    ) -> Result<(), SyncError> {
        for mut rest in incomplete {
            while self.child_page(resource, &mut rest, decoder).await? {}
        }
        Ok(())
    }

    /// One more page of a nested list; whether there is more after it.
    async fn child_page(
        &self,
        resource: &'static Resource,
        rest: &mut Incomplete,
        decoder: &mut Decoder,
    ) -> Result<bool, SyncError> {
        let Some(child) = resource.children.get(rest.child) else { return Ok(false) };
        let request = asking::page_of(child.list, &rest.parent, Some(&rest.after), None);
        let decoded =
            |answer: &Answer| decoder.child_page(rest, &answer.body, answer.sent_at.timestamp_micros());
        let (page, _) = self.decoded(&request, decoded).await?;
        if page.has_more && !asking::has_moved(&page, Some(&rest.after), None) {
            return Err(SyncError::Stuck { path: request.path });
        }
        let Some(last) = page.keys.last() else { return Ok(false) };
        rest.after.clone_from(&last.id);
        rest.position += i64::try_from(page.keys.len()).unwrap_or(i64::MAX);
        Ok(page.has_more)
    }
}
