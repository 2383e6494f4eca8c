//! `whorl eval`: the agents of a run are what the run has come to, and what is drawn is what they did.

mod support;

use std::path::Path;

use serde_json::Value;
use support::tool::{Folder, events, kind};
use whorl::pipeline;
use whorl_trace::Plays;

/// A learner that has not learned much: its episodes are of many lengths.
const TRAINING: &str = "import std.env { film }
import std.env.cartpole
import std.rl.ppo

size runs = 2 \"side by side\"

fn train(key: Key) = for k in split(key, runs) { ppo.train(cartpole.env, k) }

fn eval(agent, key: Key) = film(ppo.play(cartpole.env, agent, key), cartpole.render, fps: 50.0)

";
const SHORT: &str = "--set ppo.total_steps=5120 --quiet";

fn number(line: &str, event: &Value, name: &str) -> Vec<f64> {
    let values = event[name].as_array().unwrap_or_else(|| panic!("{line}: no {name}"));
    values.iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Returns, or lengths, of each agent.
fn told(folder: &Folder, line: &str, name: &str) -> Vec<Vec<f64>> {
    let said = folder.whorl(line).good();
    events(&said.out).iter().filter(|e| kind(e) == "agent").map(|e| number(line, e, name)).collect()
}

#[test]
fn returns_are_those_that_the_script_itself_finds() {
    let script = format!("{TRAINING}fn main(key: Key) = train(key)\n");
    let folder = Folder::with("eval-returns", &script);
    folder.whorl(&format!("run script.whorl --out run {SHORT} --keep 50 --checkpoint-every 0")).good();
    let line = "eval run --seed 5 --episodes 3 --episode 2 --json";
    let (returns, lengths) = (told(&folder, line, "episode_return"), told(&folder, line, "length"));
    assert_eq!(returns, lengths, "CartPole pays 1 a step");

    let own = "fn main(key: Key) {
  let agents = train(key)
  let found = for a in agents {
    for e in 2..5 { eval(a, fold_in(key(5), e)).episode_return }
  }
  save(\"found.csv\", found)
  found
}
"
    .replace("key(5)", "the_key");
    let own = format!("{TRAINING}let the_key = key(5)\n\n{own}");
    folder.write("own.whorl", &own);
    folder.whorl(&format!("run own.whorl --out own {SHORT}")).good();
    let rows = folder.text("own/found.csv");
    let found: Vec<Vec<f64>> =
        rows.lines().map(|l| l.split(',').map(|x| x.parse().expect("a number")).collect()).collect();
    assert_eq!(returns, found);
    assert!(found.concat().windows(2).any(|w| w[0] != w[1]), "episodes should differ: {found:?}");

    // Any number of threads, one agent alone, one episode alone: the same.
    assert_eq!(told(&folder, &format!("{line} --threads 1"), "episode_return"), returns);
    assert_eq!(told(&folder, &format!("{line} --runs 1"), "episode_return"), returns[1..]);
    let one = told(&folder, "eval run --seed 5 --episodes 1 --episode 3 --json", "episode_return");
    assert_eq!(one, [[returns[0][1]], [returns[1][1]]]);
    assert_ne!(told(&folder, "eval run --episodes 3 --episode 2 --json", "episode_return"), returns);

    // An earlier checkpoint holds another agent.
    let mut kept: Vec<String> = std::fs::read_dir(folder.0.join("run"))
        .expect("the run folder")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|n| n.starts_with("checkpoint-"))
        .collect();
    kept.sort();
    let earlier = folder.whorl(&format!("eval run --checkpoint run/{}", kept[0])).good();
    assert!(earlier.out.contains(" of 10 steps") && !earlier.out.contains("10 of 10 steps"), "{}", earlier.out);
    let last = folder.whorl("eval run").good();
    assert!(last.out.contains("trained for 10 of 10 steps"), "{}", last.out);
    assert!(last.out.contains("  all  "), "{}", last.out);
}

/// Width, height, and frames with their hundredths of a second.
fn gif(bytes: &[u8]) -> (u16, u16, Vec<u16>) {
    let mut decoder = gif::DecodeOptions::new().read_info(bytes).expect("a gif");
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        delays.push(frame.delay);
    }
    (decoder.width(), decoder.height(), delays)
}

/// Width and height.
fn png(bytes: &[u8]) -> (u32, u32) {
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (side(16), side(20))
}

#[test]
fn what_is_drawn_is_one_episode() {
    let folder = Folder::with("eval-drawn", &format!("{TRAINING}fn main(key: Key) = train(key)\n"));
    folder.whorl(&format!("run script.whorl --out run {SHORT}")).good();
    let lengths = told(&folder, "eval run --episodes 1 --episode 4 --json", "length");
    let line = "eval run --episodes 1 --episode 4 --runs 1 --gif one.gif --png one.png";
    let said = folder.whorl(line).good();
    assert!(said.out.contains("one.gif: run 1, episode 4, "), "{}", said.out);
    let (width, height, delays) = gif(&folder.read("one.gif"));
    // The first state, and that after each step; 50 a second.
    assert_eq!((width, height, delays.len()), (200, 100, lengths[1][0] as usize + 1));
    assert!(delays.iter().all(|d| *d == 2));
    assert_eq!(png(&folder.read("one.png")), (4 * 202 - 2, 3 * 102 - 2));

    folder.whorl("eval run --episodes 1 --episode 4 --runs 0,1 --scale 2 --fps 10 --gif both.gif").good();
    let (width, height, delays) = gif(&folder.read("both.gif"));
    let longest = lengths[0][0].max(lengths[1][0]) as usize + 1;
    assert_eq!((width, height, delays.len()), (2 * 402, 200, longest));
    assert!(delays.iter().all(|d| *d == 10));

    // Without a terminal, the last picture in characters: a pole, a cart, a track.
    let said = folder.whorl("eval run --episodes 1 --term").good();
    let picture: Vec<&str> = said.out.lines().filter(|l| l.contains('*')).collect();
    assert!(picture.len() >= 2 && said.out.contains("the last of "), "{}", said.out);
    assert!(said.out.lines().all(|l| l.chars().count() < 80 && !l.contains('\x1b')), "{}", said.out);
    let best = said.out.lines().last().is_some_and(|l| l.contains("the best of 2, episode 0"));
    assert!(best, "{}", said.out);
}

#[test]
fn an_agent_may_be_made_of_anything_but_functions() {
    let script = "enum Mood { Calm, Wild(f32) }

type Agent = { net: (f32[2], f32), key: Key, moods: Mood[3], count: i32 }

fn start(key: Key) -> Agent {
  let (k, l) = split(key)
  { net: ([1.0, 2.0], 3.0), key: k, moods: for i in 0..3 { if i == 1 { Mood.Wild(uniform(fold_in(l, i))) } else { Mood.Calm } }, count: 0 }
}

fn main(key: Key) {
  let agents = for k in split(key, 3) {
    train scan a = start(k) for _ in 0..7 { a with { count: a.count + 1 } }
  }
  agents
}

fn eval(agent: Agent, key: Key) {
  let (w, b) = agent.net
  let wild = for m in agent.moods { match m { Calm => 0.0, Wild(x) => 1.0 + 0.0 * x } }
  {
    episode_return: sum(w) + b + sum(wild),
    drawn: uniform(agent.key) + 0.0 * uniform(key),
    inside: { count: agent.count, late: agent.count > 6 },
    all: wild,
  }
}
";
    let folder = Folder::with("eval-anything", &whorl_syntax::format(script).expect("well-formed"));
    folder.whorl("run script.whorl --out run --quiet").good();
    let said = folder.whorl("eval run --episodes 2 --json").good();
    let agents: Vec<Value> = events(&said.out).into_iter().filter(|e| kind(e) == "agent").collect();
    assert_eq!(agents.len(), 3);
    for agent in &agents {
        assert_eq!(number("", agent, "episode_return"), [7.0, 7.0]);
        assert_eq!(number("", agent, "inside.count"), [7.0, 7.0]);
        assert_eq!(agent["inside.late"], serde_json::json!([true, true]));
        assert!(agent.get("all").is_none());
        // A key of the agent's own is the same in every episode, and another in every agent.
        let drawn = number("", agent, "drawn");
        assert_eq!(drawn[0], drawn[1]);
        assert!(agents.iter().filter(|a| number("", a, "drawn") == drawn).count() == 1);
    }
    let table = folder.whorl("eval run --episodes 2").good().out;
    assert!(table.contains("2 of 2") && table.contains("inside.count"), "{table}");
    folder.whorl("eval run --gif a.gif").bad(1, &["E0418", "there is nothing to draw"]);
    assert!(!folder.0.join("a.gif").exists());
}

#[test]
fn pictures_cost_nothing_unless_they_are_asked_for() {
    let script = format!("{TRAINING}fn main(key: Key) = train(key)\n");
    let source = pipeline::load_text("script.whorl", script, &[]).expect("a script");
    let arena = |frames: bool| {
        let evaluation = source.script.trace_eval(Plays { agents: 1, episodes: 1, frames }).expect("traced");
        assert_eq!(evaluation.runs, Some(2));
        pipeline::compile(evaluation.traced.program, &source.map, 1).expect("compiled").program.arena_bytes
    };
    let (without, with) = (arena(false), arena(true));
    assert!(with > 1001 * 200 * 100 * 3, "{with}");
    // Two agents' worth of parameters and moments, and what a step needs.
    assert!(without < 400_000, "{without}");
}

#[test]
fn mistakes_are_answered() {
    let learner =
        "fn main(key: Key) = for k in split(key, 2) {\n  train scan w = uniform(k) for _ in 0..10 { 0.9 * w }\n}\n";
    let folder = Folder::with("eval-mistakes", learner);
    folder.whorl("run script.whorl --out run --quiet").good();
    folder.whorl("eval run").bad(1, &["error[E0415]", "it has no `eval`", "whorl eval run --script FILE"]);
    folder.write(
        "later.whorl",
        &format!("{learner}\nfn eval(agent, key: Key) = {{ episode_return: agent + 0.0 * uniform(key) }}\n"),
    );
    folder.whorl("eval run --script later.whorl").good();
    folder.whorl("eval run --script later.whorl --runs 0,2").bad(1, &["there is no run 2", "there are 0 to 1"]);
    folder.whorl("eval run --script none.whorl").bad(1, &["none.whorl"]);
    folder.write("other.whorl", "fn main(key: Key) = uniform(key, 3)\n\nfn eval(agent, key: Key) = { episode_return: sum(agent) + uniform(key) }\n");
    folder.whorl("eval run --script other.whorl").bad(1, &["something else than the run has", "f32[2]"]);
    folder.whorl("eval nowhere").bad(1, &["there is no such folder"]);
    folder.whorl("eval").bad(2, &["which run?"]);
    folder.whorl("eval run --checkpoint none.safetensors --script later.whorl").bad(1, &["none.safetensors"]);
    std::fs::remove_file(folder.0.join("run/checkpoint.safetensors")).expect("removed");
    folder.whorl("eval run --script later.whorl").bad(1, &["there is no checkpoint yet"]);

    // What is wrong with `eval` is told before the training.
    folder.write("early.whorl", &format!("{learner}\nfn eval(agent) = agent\n"));
    folder.whorl("run early.whorl --out early").bad(1, &["error[E0416]"]);
    assert!(!folder.0.join("early").exists());
    // A function of that name that the script calls is the script's own.
    folder.write("own.whorl", "fn eval(x) = 2.0 * x\n\nfn main() = eval(3.0)\n");
    folder.whorl("run own.whorl --out own --quiet").good();
    // An assertion in an episode.
    folder.write("fails.whorl", &format!("{learner}\nfn eval(agent, key: Key) {{\n  assert agent > 2.0, \"too small\"\n  {{ episode_return: uniform(key) }}\n}}\n"));
    folder.whorl("run fails.whorl --out fails --quiet").good();
    folder.whorl("eval fails").bad(1, &["E0701", "too small", "fails.whorl:6"]);
}

#[test]
fn pictures_are_written_whole_or_not_at_all() {
    let script = "fn main(key: Key) = train scan w = uniform(key) for _ in 0..10 { 0.9 * w }

fn eval(agent, key: Key) = { episode_return: agent, length: 3, frames: uniform(key, 10, 6, 8), fps: 200.0 }
";
    let folder = Folder::with("eval-written", script);
    folder.whorl("run script.whorl --out run --quiet").good();
    folder.whorl("eval run --gif none/a.gif").bad(1, &["none/a.gif was not written", "no such folder"]);
    let said = folder.whorl("eval run --gif a.gif --png a.png --json").good();
    let saved: Vec<Value> = events(&said.out).into_iter().filter(|e| kind(e) == "saved").collect();
    assert_eq!(saved.len(), 2);
    // The pictures of 200 a second that 50 can show: the first, and the last of length + 1.
    assert_eq!(gif(&folder.read("a.gif")), (8, 6, vec![2, 2]));
    // Four pictures in a row.
    assert_eq!(png(&folder.read("a.png")), (4 * 10 - 2, 6));
    assert!(Path::new(&folder.0).join("a.gif").exists());
}
