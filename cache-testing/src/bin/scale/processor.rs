//! The processor time of a server.

use std::time::Duration;

use cache_testing::RedisServer;

use crate::Failure;

pub(crate) struct Processor<'a>(&'a RedisServer);

impl<'a> Processor<'a> {
    pub(crate) const fn of(server: &'a RedisServer) -> Self {
        Self(server)
    }

    /// What the server's main thread spends while `work` runs.
    pub(crate) async fn during(&self, work: impl Future<Output = Result<(), Failure>>) -> Result<Duration, Failure> {
        let before = self.spent()?;
        work.await?;
        Ok(self.spent()?.saturating_sub(before))
    }

    fn spent(&self) -> Result<Duration, Failure> {
        let info = self.0.cli(&["INFO", "cpu"]);
        let field = |name: &str| -> Result<f64, Failure> {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(value.ok_or_else(|| format!("INFO cpu has no {name}; Redis 7 has"))?.trim().parse()?)
        };
        Ok(Duration::from_secs_f64(field("used_cpu_sys_main_thread")? + field("used_cpu_user_main_thread")?))
    }
}
