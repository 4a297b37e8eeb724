//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Self-hosted commerce intelligence for Stripe.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// The folder that holds the warehouse, the users and the key [default: tallyhouse-data].
    #[arg(long = "data", global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The configuration file [default: tallyhouse.toml within the data folder].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pages and keep the tables up to date.
    Serve,
    /// Try everything with a simulated Stripe: nothing to configure, nothing kept.
    Demo(Demo),
    /// Look for what keeps this installation from working, and say what to do about it.
    Doctor,
    /// Join a Stripe account to this installation.
    Connect {
        /// What to connect to.
        #[command(subcommand)]
        source: Source,
    },
    /// Bring tables up to date: resumes or begins the first copy, then applies what changed.
    Sync(Sync),
    /// Say where every table of a connection stands.
    Status(Status),
    /// Ask the warehouse.
    Query(Query),
    /// Look at the configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Run the simulated Stripe alone.
    Sim(Sim),
}

/// A source to connect to.
#[derive(Debug, Subcommand)]
pub enum Source {
    /// A Stripe account, by a restricted (or secret) API key.
    Stripe(ConnectStripe),
}

/// Options of `connect stripe`.
#[derive(Debug, Args)]
pub struct ConnectStripe {
    /// Name of the connection, and of its schema in the warehouse.
    #[arg(long, default_value = "stripe")]
    pub name: String,
    /// Read the key from standard input, so that it shows in no process list.
    #[arg(long, required = true)]
    pub api_key_stdin: bool,
}

/// Options of `sync`.
#[derive(Debug, Args)]
pub struct Sync {
    /// Only this connection, also when it is paused [default: every one that is not paused].
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The connection.
    #[arg(long, value_name = "NAME", default_value = "stripe")]
    pub connection: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `query`.
#[derive(Debug, Args)]
pub struct Query {
    /// One SELECT.
    pub sql: String,
    /// How to give the rows.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Where to put the Parquet file.
    #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
    pub output: Option<PathBuf>,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Format {
    /// For people.
    Table,
    /// RFC 4180, with a header.
    Csv,
    /// One array of objects.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Read it and say what is wrong, or nothing.
    Check,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Address of the pages.
    #[arg(long, default_value = "127.0.0.1:8420")]
    pub listen: SocketAddr,
    /// Address of the simulated Stripe.
    #[arg(long, default_value = "127.0.0.1:8421")]
    pub sim_listen: SocketAddr,
    /// The business stands still, so that numbers can be compared.
    #[arg(long)]
    pub still: bool,
    /// What the business is like.
    #[command(flatten)]
    pub story: Story,
}

/// Options of `sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8421")]
    pub listen: SocketAddr,
    /// What the business is like.
    #[command(flatten)]
    pub story: Story,
    /// Instead of a business that lives, so many charges made up as they are asked for, and a customer for every hundred.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["customers", "months"])]
    pub charges: Option<u64>,
    /// Instead, a software company's account of about so many objects of many kinds, made up as they are asked for.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["customers", "months", "charges"])]
    pub objects: Option<u64>,
    /// Instead, a small account with some of everything that Stripe lists, in which something changes every minute.
    #[arg(long, conflicts_with_all = ["customers", "months", "charges", "objects"])]
    pub gallery: bool,
    /// No limit on requests.
    #[arg(long)]
    pub unlimited: bool,
    /// Answer so many milliseconds later, as over a network; requests do not wait for each other.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub latency_ms: u64,
    /// So many of 100 requests meet a fault: refused, failed, cut or lost.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=50))]
    pub faults: u8,
}

/// A simulated business.
#[derive(Debug, Clone, Copy, Args)]
pub struct Story {
    /// About how many customers have come by now.
    #[arg(long, default_value_t = 400)]
    pub customers: u32,
    /// How long it has been going.
    #[arg(long, default_value_t = 24)]
    pub months: u32,
    /// The same seed gives the same business.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}
