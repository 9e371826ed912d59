//! `THALWEG_DEBUG=graph,schedule,memory` prints what a plan was made of.

use std::fmt::Write;

use super::{
    graph::Graph,
    ir::{LaunchKind, Schedule},
};
use crate::settings::{Print, Settings};

/// Prints to standard error what [`Settings`] ask for.
pub fn debug(graph: &Graph, schedule: &Schedule) {
    for part in &Settings::get().printed {
        match part {
            Print::Graph => eprint!("{}", graph_text(graph)),
            Print::Schedule => eprint!("{}", schedule_text(schedule)),
            Print::Memory => eprint!("{}", memory_text(schedule)),
            Print::Launches | Print::Wgsl => {}
        }
    }
}

/// A node a line.
pub fn graph_text(graph: &Graph) -> String {
    let mut text = String::from("graph\n");
    for (id, node) in graph.nodes.iter().enumerate() {
        let _ =
            writeln!(text, "  %{id} = {:?} {:?} {}{:?}  {}", node.op, node.inputs, node.dtype, node.shape, node.label);
    }
    let _ = writeln!(text, "  outputs {:?}", graph.outputs);
    text
}

fn schedule_text(schedule: &Schedule) -> String {
    let mut text = format!("schedule: {} launches\n", schedule.launches.len());
    for (t, launch) in schedule.launches.iter().enumerate() {
        let shape = match &launch.work.code.kind {
            LaunchKind::Whole(w) => {
                let shapes: Vec<&[usize]> = w.inputs.iter().map(|array| &array.shape[..]).collect();
                format!("{} {shapes:?}", w.op.name())
            }
            LaunchKind::Repeat(r) => format!("{} times {} launches", r.times, r.launches.len()),
            LaunchKind::Loop(l) => format!("loop {:?} × {:?}", l.outer, l.inner),
            LaunchKind::Contract(c) => format!("contract {:?} {:?} × {:?} over {:?}", c.batch, c.m, c.n, c.k),
        };
        let insts = launch.work.code.kind.size();
        let (reads, writes): (Vec<_>, Vec<_>) = (launch.work.reads().collect(), launch.work.writes().collect());
        let _ = writeln!(text, "  {t}: {shape}  {reads:?} → {writes:?}  {insts} instructions  {}", launch.title);
    }
    text
}

fn memory_text(schedule: &Schedule) -> String {
    let mut text =
        format!("memory: {} bytes in {} slots\n", schedule.slots.iter().sum::<usize>(), schedule.slots.len());
    for (id, buffer) in schedule.buffers.iter().enumerate() {
        let _ = writeln!(text, "  {id}: {} × {}  {:?}", buffer.dtype, buffer.len, buffer.place);
    }
    text
}
