//! The built program, serving.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// Ends with the test. What it prints is kept open.
pub(crate) struct Server(Child, Option<BufReader<ChildStdout>>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().expect("the server can be ended");
        self.0.wait().expect("the server ends");
    }
}

impl Server {
    /// What is waited for of a server that ended never comes.
    pub(crate) fn must_run(&mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {}", ended.unwrap());
    }
}

/// Serves `data` as `configured`; gives where to set it up.
pub(crate) fn serve(data: &Path, configured: &[(&str, &str)]) -> (Server, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tallyhouse"));
    program.arg("--data").arg(data).arg("serve").stdout(Stdio::piped());
    program.env("TALLYHOUSE__SERVER__LISTEN", "127.0.0.1:0");
    program.envs(configured.iter().map(|(name, value)| (format!("TALLYHOUSE__{name}"), value)));
    let mut server = Server(program.spawn().unwrap(), None);
    let printed = server.1.insert(BufReader::new(server.0.stdout.take().unwrap()));
    let setup = printed.lines().map(Result::unwrap).find(|line| line.contains("/setup")).unwrap();
    let setup = setup.split(' ').next_back().unwrap().to_owned();
    (server, setup)
}
