//! A peer's program that is told what to do, and tells what its library saw, by lines of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testkit::wait_until_some;

/// How much of what a peer told is shown when a case failed.
const SHOWN: usize = 40;

/// The program, and what it has told so far.
pub struct Told {
    child: Child,
    input: ChildStdin,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Told {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let seen = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a line of JSON");
                kept.lock().expect("no panic").push(event);
            }
        });
        let input = child.stdin.take().expect("its input");
        Self { child, input, seen }
    }

    /// Tells it what to do.
    pub fn order(&mut self, order: &Value) {
        writeln!(self.input, "{order}").expect("it reads");
    }

    /// All that it told.
    pub fn seen(&self) -> Vec<Value> {
        self.seen.lock().expect("no panic").clone()
    }

    /// How much it told so far.
    pub fn told(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }

    /// Waits until it has told such an event.
    pub async fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.until_after(0, what, is_it).await
    }

    /// Waits until it has told such an event after so many others.
    pub async fn until_after(
        &self,
        told: usize,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_until_some(what, async || {
            self.seen().into_iter().skip(told).find(&is_it)
        })
        .await
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let seen = self.seen();
            eprintln!("--- the last of what the peer told");
            for event in seen.iter().skip(seen.len().saturating_sub(SHOWN)) {
                eprintln!("{event}");
            }
        }
    }
}
