//! The Lua scripts: what must happen as one step on the server.
//!
//! Each script declares every key it touches in `KEYS`. The journal and the data keys lie in different slots, so in a
//! cluster the calls that touch both are split (`split.rs`): remove first, then append.

use std::sync::LazyLock;

use cache_core::frame;
use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};

/// The text of a script, and the hash by which a server knows it.
pub(crate) struct Text {
    code: &'static str,
    hash: LazyLock<String>,
    /// Whether it tells other nodes of a record.
    announces: bool,
}

impl Text {
    /// Begins a call with its first key.
    pub(crate) fn key(&'static self, key: impl ToRedisArgs) -> Call {
        let mut call = Call { text: self, keys: Vec::new(), arguments: Vec::new() };
        call.key(key);
        call
    }
}

/// A script with what it is to be called with.
#[derive(Clone)]
pub(crate) struct Call {
    text: &'static Text,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    /// Adds a key.
    pub(crate) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        argument.write_redis_args(&mut self.arguments);
        self
    }

    /// The call by the script's hash: short, and refused by a server that does not know the script.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.text.hash)
    }

    /// The call with the script's text, by which the server gets to know it.
    pub(crate) fn by_text(&self) -> Cmd {
        self.command("EVAL", self.text.code)
    }

    /// Runs the script. A server that does not know it yet is sent its text.
    pub(crate) async fn invoke_async<T: FromRedisValue>(&self, connection: &mut impl ConnectionLike) -> RedisResult<T> {
        match self.send(self.by_hash(), connection).await {
            Err(error) if is_unknown(&error) => self.send(self.by_text(), connection).await,
            result => result,
        }
    }

    /// On one server, a script that tells other nodes of a caller's record goes out behind a PING. When Redis has carried out
    /// what came in, it writes to its clients, to the one that was first given something to read last: alone, the script would
    /// have its caller answered before any node hears of the record. With the PING, the nodes come first, so the wait for them
    /// is shorter by a write and by the caller's waking up, and the caller's longer by a write to each node.
    async fn send<T: FromRedisValue>(&self, command: Cmd, connection: &mut impl ConnectionLike) -> RedisResult<T> {
        if !self.text.announces {
            return command.query_async(connection).await;
        }
        let mut batch = Pipeline::with_capacity(2);
        batch.cmd("PING").add_command(command);
        let answers = connection.req_packed_commands(&batch, 1, 1).await?;
        let answer = answers.into_iter().next().unwrap_or(Value::Nil);
        Ok(redis::from_redis_value(answer.extract_error()?)?)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

/// Whether the server does not know the script.
pub(crate) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::NoScript.into()
}

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        script!($name, $($file),+; announces: false);
    };
    ($name:ident, $($file:literal),+; announces) => {
        script!($name, $($file),+; announces: true);
    };
    ($name:ident, $($file:literal),+; announces: $announces:literal) => {
        pub(crate) static $name: Text = {
            const CODE: &str = concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+);
            Text { code: CODE, hash: LazyLock::new(|| Script::new(CODE).get_hash().to_owned()), announces: $announces }
        };
    };
}

script!(ACQUIRE, "acquire");
script!(ACQUIRE_PLAIN, "acquire_plain");
script!(EXTEND, "extend");
script!(FILL, "fill");
script!(CLAIM, "claim");
script!(RECLAIM, "reclaim");
script!(REFILL, "refill");
script!(RELEASE, "release");
script!(PUT, "append", "put"; announces);
script!(INVALIDATE, "append", "fences", "invalidate"; announces);
script!(FENCE, "append", "fences", "fence"; announces);
#[cfg(feature = "cluster")]
script!(HOLD, "hold");
#[cfg(feature = "cluster")]
script!(RAISE, "fences", "raise");
#[cfg(feature = "cluster")]
script!(LIFT, "fences", "lift");
script!(BEGIN, "begin");
script!(BEAT, "beat");
script!(UNHEARD, "unheard");
script!(SWEPT, "swept");
script!(FORGET, "forget");
script!(ENCLOSE, "enclose");
script!(CONCLUDE, "append", "fences", "conclude"; announces);
script!(WRITE_APPEND, "append", "fences", "write_append"; announces);
script!(WRITE_TAKE, "write_take");
script!(WRITE_SETTLE, "append", "fences", "write_settle");

// The scripts name these offsets as numbers.
const _: () = assert!(frame::MAGIC[0] == 202 && frame::MAGIC[1] == 195 && frame::LAYOUT == 2);
const _: () = assert!(frame::KIND_AT == 3 && frame::TOKEN_AT == 4 && frame::FLAG_AT == 20 && frame::LEASE_BYTES == 21);
const _: () = assert!(frame::BIRTH_AT == 54 && frame::VERSION_AT == 70 && frame::CLAIMED_AT == 78);
const _: () = assert!(frame::HEADER_BYTES == 86 && frame::ENTRY_BYTES == 90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_names_the_layout_that_is_written() {
        let scripts =
            [&ACQUIRE, &ACQUIRE_PLAIN, &EXTEND, &FILL, &CLAIM, &REFILL, &RELEASE, &PUT].map(|script| script.code);
        for code in scripts.into_iter().chain([include_str!("scripts/hold.lua")]) {
            for (_, rest) in code.match_indices(r"\202\195").map(|(at, magic)| code.split_at(at + magic.len())) {
                assert!(rest.starts_with(&format!(r"\{}", frame::LAYOUT)), "{code}");
            }
        }
    }
}
