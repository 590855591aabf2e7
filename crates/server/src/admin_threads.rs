//! Threads of the admin plane's own: what operators ask for does not queue behind fifteen thousand agents.
//!
//! A runtime's tasks take turns, and a request has several of them: for its bytes, for the database's answer, for each
//! row of it. While a config goes to a whole fleet, every turn waits for thousands of others, and a page of agents took
//! seconds. The system's scheduler shares the processors between threads in milliseconds.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// One for what computes for long, such as a release, and one for what is asked meanwhile.
const THREADS: usize = 2;

/// A runtime apart. Dropped it ends everything on it without waiting.
pub struct AdminThreads {
    // Absent only while it is dropped.
    runtime: Option<Runtime>,
}

impl AdminThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system said when it had none.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("admin")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs something on them; what it opens belongs to them, too.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let runtime = self.runtime.as_ref();
        runtime
            .expect("it is there until it is dropped")
            .spawn(future)
    }
}

impl Drop for AdminThreads {
    fn drop(&mut self) {
        // An ordinary drop waits for the threads, which a task of another runtime must not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_run_while_every_thread_of_the_caller_is_busy_and_end_within_a_task() {
        let threads = AdminThreads::start().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let running = threads.spawn(async move { sender.send(std::thread::current().id()) });
        // The one thread of this test waits without letting go.
        let other = receiver.recv().unwrap();
        assert_ne!(other, std::thread::current().id());
        running.await.unwrap().unwrap();
        drop(threads);
    }
}
