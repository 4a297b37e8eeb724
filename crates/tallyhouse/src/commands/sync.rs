//! `tallyhouse sync`: one update cycle of one connection, or of each that is not paused.

use std::{process::ExitCode, sync::Arc};

use anyhow::bail;
use store::{Connection, Status, Store};
use tokio::sync::watch;

use crate::{
    cli,
    clock::SystemClock,
    commands::{DONE_IN_PART, stop_on_signal},
    config::Config,
    installation::{open_store, open_warehouse},
    local::Client,
    output::Output,
    progress,
    updates::{Ending, Parts, Summary, Updates},
    web::ProgressView,
};

pub(crate) async fn run(config: Config, options: cli::Sync, output: Output) -> anyhow::Result<ExitCode> {
    let store = Arc::new(open_store(&config).await?);
    let chosen = chosen(&store, options.connection.as_deref()).await?;
    let (paused, chosen) = apart(chosen, options.connection.is_some());
    for Connection { name, .. } in &paused {
        output.remark(&format!(
            "tallyhouse: {name} is paused and was left alone; `tallyhouse sync --connection {name}` updates it all the same"
        ));
    }
    let runner = match Client::find(&config).await? {
        Some(server) => Runner::Server(server),
        None => Runner::Here(here(&config, &store)?),
    };
    let mut summaries = Vec::new();
    for connection in &chosen {
        let summary = runner.run(&connection.name, output).await?;
        tell(&connection.name, &summary, output)?;
        summaries.push(summary);
    }
    if let Runner::Here(updates) = &runner {
        updates.shut().await;
    }
    store.close().await;
    Ok(exit_code(&summaries))
}

async fn chosen(store: &Store, name: Option<&str>) -> anyhow::Result<Vec<Connection>> {
    let mut connections = store.connections().await?;
    if let Some(name) = name {
        connections.retain(|connection| connection.name == name);
        if connections.is_empty() {
            bail!(
                "there is no connection {name}; `tallyhouse connect stripe --name {name} --api-key-stdin` makes it"
            );
        }
    }
    if connections.is_empty() {
        bail!("nothing is connected yet; run `tallyhouse connect stripe --api-key-stdin`");
    }
    Ok(connections)
}

/// The paused ones and the others. Whoever names a connection wants it updated, paused or not.
fn apart(connections: Vec<Connection>, named: bool) -> (Vec<Connection>, Vec<Connection>) {
    connections.into_iter().partition(|connection| !named && connection.status == Status::Paused)
}

fn here(config: &Config, store: &Arc<Store>) -> anyhow::Result<Updates> {
    let parts = Parts {
        store: Arc::clone(store),
        warehouse: Arc::new(open_warehouse(config)?),
        stripe: config.stripe.clone(),
        clock: Arc::new(SystemClock),
    };
    Ok(Updates::new(parts)?)
}

/// Who runs the cycle: this process, or the server that has the warehouse open.
enum Runner {
    Here(Updates),
    Server(Client),
}

impl Runner {
    async fn run(&self, name: &str, output: Output) -> anyhow::Result<Arc<Summary>> {
        match self {
            Self::Here(updates) => {
                let mut running = updates.begin(name, true).await?;
                let stop = stop_on_signal()?;
                let showing = progress::show(running.progress.clone(), output);
                let ending = async {
                    tokio::select! {
                        summary = running.ended() => summary,
                        () = stop.cancelled() => {
                            updates.shut().await;
                            running.ended().await
                        }
                    }
                };
                Ok(progress::until(ending, showing).await)
            }
            Self::Server(server) => {
                let (sender, receiver) = watch::channel(ProgressView::default());
                progress::until(server.update(name, sender), progress::show(receiver, output)).await
            }
        }
    }
}

fn tell(name: &str, summary: &Summary, output: Output) -> anyhow::Result<()> {
    let (told, quiet): (Vec<_>, Vec<_>) =
        summary.tables.iter().partition(|table| table.rows > 0 || table.note.is_some());
    for table in told {
        output.line(&format!("{:32} {:>16}", table.table, table.words()))?;
    }
    if !quiet.is_empty() {
        output.line(&format!("{:32} {:>16}", format!("{} other tables", quiet.len()), "nothing new"))?;
    }
    if !summary.tables.is_empty() || summary.rows > 0 {
        output.line(&format!("{} rows in {} requests", summary.rows, summary.requests))?;
    }
    if let Some(why) = &summary.why {
        output.remark(&format!("tallyhouse: {name}: {why}"));
    }
    Ok(())
}

/// One that failed whole outweighs tables that failed.
fn exit_code(summaries: &[Arc<Summary>]) -> ExitCode {
    let any = |endings: &[Ending]| summaries.iter().any(|summary| endings.contains(&summary.ending));
    if any(&[Ending::Failed, Ending::Stopped]) {
        ExitCode::FAILURE
    } else if any(&[Ending::Partial]) {
        ExitCode::from(DONE_IN_PART)
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::connection;

    #[test]
    fn paused_connections_are_left_alone_unless_named() {
        let paused = Connection { status: Status::Paused, ..connection("old") };
        let names =
            |connections: Vec<Connection>| connections.into_iter().map(|one| one.name).collect::<Vec<_>>();
        let (left, updated) = apart(vec![paused.clone(), connection("shop")], false);
        assert_eq!((names(left), names(updated)), (vec!["old".to_owned()], vec!["shop".to_owned()]));
        let (left, updated) = apart(vec![paused], true);
        assert_eq!((names(left), names(updated)), (Vec::new(), vec!["old".to_owned()]));
    }
}
