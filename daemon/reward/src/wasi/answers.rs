use wasmtime::{
    Error, Result, StoreContextMut,
    component::{ResourceAny, ResourceDynamic, Val},
};

use crate::{call_state::CallState, system::Stream};

type Store<'s> = StoreContextMut<'s, CallState>;

/// Answers one call: `None` where the function returns nothing.
pub(super) type Answer = fn(&mut Store<'_>, &[Val]) -> Result<Option<Val>>;

/// The random bytes given in one call, at most.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// The bytes that a stream takes in one write, as WASI's own hosts offer.
const WRITE_BYTES_MAX: u64 = 4096;
/// What the wall clock shows: the first second of the year 2000, UTC.
const WALL_CLOCK_SECONDS: u64 = 946_684_800;

const OTHER: u32 = 0;
const POLLABLE: u32 = 1;
const INPUT_STREAM: u32 = 2;
const OUTPUT_STREAM: u32 = 3;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Which of the resources with a stand-in has this name.
pub(super) fn resource_type(name: &str) -> u32 {
    match name {
        "pollable" => POLLABLE,
        "input-stream" => INPUT_STREAM,
        "output-stream" => OUTPUT_STREAM,
        _ => OTHER,
    }
}

/// The stand-in for a function of WASI 0.2, where it has one.
pub(super) fn answer(interface: &str, function: &str) -> Option<Answer> {
    let answer: Answer = match (interface.strip_prefix("wasi:")?, function) {
        ("cli/environment", "get-environment" | "get-arguments") => |_, _| value(Val::List(Vec::new())),
        ("cli/environment", "initial-cwd" | "get-initial-cwd") => |_, _| value(Val::Option(None)),
        ("cli/exit", "exit" | "exit-with-code") => |_, _| Err(Error::msg("it ended itself by exit")),
        ("cli/stdin", "get-stdin") => |store, _| resource(store, STDIN, INPUT_STREAM),
        ("cli/stdout", "get-stdout") => |store, _| resource(store, STDOUT, OUTPUT_STREAM),
        ("cli/stderr", "get-stderr") => |store, _| resource(store, STDERR, OUTPUT_STREAM),
        ("cli/terminal-stdin", "get-terminal-stdin")
        | ("cli/terminal-stdout", "get-terminal-stdout")
        | ("cli/terminal-stderr", "get-terminal-stderr") => |_, _| value(Val::Option(None)),
        ("clocks/wall-clock", "now") => |_, _| value(instant(WALL_CLOCK_SECONDS, 0)),
        ("clocks/wall-clock", "resolution") => |_, _| value(instant(0, 1000)),
        ("clocks/monotonic-clock", "now") => |store, _| {
            let now = store.data_mut().system.monotonic_nanoseconds();
            value(Val::U64(now))
        },
        ("clocks/monotonic-clock", "resolution") => |_, _| value(Val::U64(1000)),
        ("clocks/monotonic-clock", "subscribe-instant" | "subscribe-duration") => {
            |store, _| resource(store, 0, POLLABLE)
        }
        ("filesystem/preopens", "get-directories") => |_, _| value(Val::List(Vec::new())),
        // No error of a stream is an error of a file: there are no files.
        ("filesystem/types", "filesystem-error-code") => |store, parameters| {
            borrowed(store, parameters)?;
            value(Val::Option(None))
        },
        ("io/error", "[method]error.to-debug-string") => |store, parameters| {
            borrowed(store, parameters)?;
            value(Val::String(String::new()))
        },
        ("io/poll", "[method]pollable.ready") => |store, parameters| {
            borrowed(store, parameters)?;
            value(Val::Bool(true))
        },
        ("io/poll", "[method]pollable.block") => |store, parameters| {
            borrowed(store, parameters)?;
            Ok(None)
        },
        ("io/poll", "poll") => poll,
        ("io/streams", "[method]input-stream.subscribe" | "[method]output-stream.subscribe") => |store, parameters| {
            borrowed(store, parameters)?;
            resource(store, 0, POLLABLE)
        },
        (
            "io/streams",
            "[method]input-stream.read"
            | "[method]input-stream.blocking-read"
            | "[method]input-stream.skip"
            | "[method]input-stream.blocking-skip",
        ) => |store, parameters| {
            borrowed(store, parameters)?;
            value(Val::Result(Err(Some(Box::new(Val::Variant("closed".to_owned(), None))))))
        },
        ("io/streams", "[method]output-stream.check-write") => |store, parameters| {
            borrowed(store, parameters)?;
            value(Val::Result(Ok(Some(Box::new(Val::U64(WRITE_BYTES_MAX))))))
        },
        ("io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => write,
        ("io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
            |store, parameters| {
                borrowed(store, parameters)?;
                value(Val::Result(Ok(None)))
            }
        }
        ("random/random", "get-random-bytes") | ("random/insecure", "get-insecure-random-bytes") => random_bytes,
        ("random/random", "get-random-u64") | ("random/insecure", "get-insecure-random-u64") => {
            |store, _| value(Val::U64(random_number(store)))
        }
        ("random/insecure-seed", "insecure-seed" | "get-insecure-seed") => |store, _| {
            let seed = vec![Val::U64(random_number(store)), Val::U64(random_number(store))];
            value(Val::Tuple(seed))
        },
        _ => return None,
    };
    Some(answer)
}

fn value(value: Val) -> Result<Option<Val>> {
    Ok(Some(value))
}

fn instant(seconds: u64, nanoseconds: u32) -> Val {
    let field = |name: &str, value| (name.to_owned(), value);
    Val::Record(vec![field("seconds", Val::U64(seconds)), field("nanoseconds", Val::U32(nanoseconds))])
}

fn resource(store: &mut Store<'_>, number: u32, kind: u32) -> Result<Option<Val>> {
    let owned = ResourceDynamic::new_own(number, kind);
    value(Val::Resource(owned.try_into_resource_any(store)?))
}

/// The number of the resource that a method is called on.
fn borrowed(store: &mut Store<'_>, parameters: &[Val]) -> Result<u32> {
    match parameters.first() {
        Some(Val::Resource(resource)) => number(store, *resource),
        _ => Err(undeclared()),
    }
}

fn number(store: &mut Store<'_>, resource: ResourceAny) -> Result<u32> {
    Ok(ResourceDynamic::try_from_resource_any(resource, store)?.rep())
}

fn undeclared() -> Error {
    Error::msg("it declares a function of WASI as something else than WASI's")
}

/// Nothing here ever makes anyone wait: all are ready.
fn poll(store: &mut Store<'_>, parameters: &[Val]) -> Result<Option<Val>> {
    let Some(Val::List(pollables)) = parameters.first() else { return Err(undeclared()) };
    let mut ready = Vec::with_capacity(pollables.len());
    for (index, pollable) in pollables.iter().enumerate() {
        let Val::Resource(pollable) = pollable else { return Err(undeclared()) };
        number(store, *pollable)?;
        ready.push(Val::U32(index as u32));
    }
    value(Val::List(ready))
}

fn write(store: &mut Store<'_>, parameters: &[Val]) -> Result<Option<Val>> {
    let stream = match borrowed(store, parameters)? {
        STDERR => Stream::Errors,
        _ => Stream::Output,
    };
    let Some(Val::List(bytes)) = parameters.get(1) else { return Err(undeclared()) };
    let byte = |value: &Val| match value {
        Val::U8(byte) => Ok(*byte),
        _ => Err(undeclared()),
    };
    let bytes = bytes.iter().map(byte).collect::<Result<Vec<u8>>>()?;
    let CallState { system, log, .. } = store.data_mut();
    system.print(stream, &bytes, log);
    value(Val::Result(Ok(None)))
}

fn random_bytes(store: &mut Store<'_>, parameters: &[Val]) -> Result<Option<Val>> {
    let Some(Val::U64(length)) = parameters.first() else { return Err(undeclared()) };
    if *length > RANDOM_BYTES_MAX {
        return Err(Error::msg(format!("it asked for {length} random bytes at once, more than {RANDOM_BYTES_MAX}")));
    }
    let mut bytes = vec![0; *length as usize];
    store.data_mut().system.random(&mut bytes);
    value(Val::List(bytes.into_iter().map(Val::U8).collect()))
}

fn random_number(store: &mut Store<'_>) -> u64 {
    let mut bytes = [0; 8];
    store.data_mut().system.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
