//! Recurrent layers and cells.

use thalweg_graph::Tensor;
use thalweg_nn::{Gru, GruCell, Lstm, LstmCell, LstmState, Rnn, RnnCell};

use super::{
    call::{Call, Table},
    layer::layer,
    outcome::Stop,
};

pub const RECURRENT: Table = &[
    ("rnn_tanh", |c| rnn(c, Tensor::tanh)),
    ("rnn_relu", |c| rnn(c, Tensor::relu)),
    ("rnn_tanh_packed", |c| rnn(c, Tensor::tanh)),
    ("rnn_relu_packed", |c| rnn(c, Tensor::relu)),
    ("lstm", lstm),
    ("lstm_packed", lstm),
    ("gru", gru),
    ("gru_packed", gru),
    ("rnn_tanh_cell", |c| rnn_cell(c, Tensor::tanh)),
    ("rnn_relu_cell", |c| rnn_cell(c, Tensor::relu)),
    ("lstm_cell", lstm_cell),
    ("gru_cell", gru_cell),
];

/// What the kinds of layers are set to alike.
macro_rules! settings {
    ($layer:ident, $c:expr) => {{
        let c = $c;
        let attrs = &c.attrs;
        attrs.only("dropout", 0.0.into())?;
        $layer::new(attrs.int("input_size")? as usize, attrs.int("hidden_size")? as usize)
            .layers(attrs.int_or("num_layers", 1)? as usize)
            .bidirectional(attrs.flag("bidirectional", false)?)
            .bias(attrs.flag("bias", true)?)
            .batch_first(attrs.flag("batch_first", false)?)
    }};
}

/// Lengths of packed sequences.
fn lengths(c: &Call) -> Result<Option<Tensor>, Stop> {
    let lengths = c.attrs.ints("lengths")?;
    // They may stand in any order.
    c.attrs.flag("enforce_sorted", true)?;
    Ok(lengths.map(|lengths| {
        let lengths: Vec<i64> = lengths.into_iter().map(|length| length as i64).collect();
        Tensor::from_slice(c.device, &lengths, [lengths.len()])
    }))
}

fn rnn(c: &Call, f: fn(&Tensor) -> Tensor) -> Result<Vec<Tensor>, Stop> {
    let layer = layer(c, settings!(Rnn, c).activation(f))?;
    let (y, h) = match lengths(c)? {
        Some(lengths) => layer.forward_packed(c.x()?, &lengths, c.named("h0")),
        None => layer.forward(c.x()?, c.named("h0")),
    };
    c.in_order(&[("y", &y), ("hn", &h)])
}

fn gru(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let layer = layer(c, settings!(Gru, c))?;
    let (y, h) = match lengths(c)? {
        Some(lengths) => layer.forward_packed(c.x()?, &lengths, c.named("h0")),
        None => layer.forward(c.x()?, c.named("h0")),
    };
    c.in_order(&[("y", &y), ("hn", &h)])
}

fn lstm(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let layer = layer(c, settings!(Lstm, c).projection(c.attrs.int_or("proj_size", 0)? as usize))?;
    let start = state(c, "h0", "c0");
    let (y, LstmState { h, c: cells }) = match lengths(c)? {
        Some(lengths) => layer.forward_packed(c.x()?, &lengths, start.as_ref()),
        None => layer.forward(c.x()?, start.as_ref()),
    };
    c.in_order(&[("y", &y), ("hn", &h), ("cn", &cells)])
}

fn state(c: &Call, h: &str, cells: &str) -> Option<LstmState> {
    c.named(h).zip(c.named(cells)).map(|(h, c)| LstmState { h: h.clone(), c: c.clone() })
}

/// Inputs, units and bias of a cell, which the shapes of its weights tell.
fn sizes(c: &Call, gates: usize) -> Result<(usize, usize, bool), Stop> {
    let weight = c.named("weight_ih").ok_or_else(|| Stop::wrong("no input weight_ih"))?;
    let [rows, inputs] = weight.dims()?;
    Ok((inputs, rows / gates, c.named("bias_ih").is_some()))
}

fn rnn_cell(c: &Call, f: fn(&Tensor) -> Tensor) -> Result<Vec<Tensor>, Stop> {
    let (inputs, hidden, bias) = sizes(c, 1)?;
    let cell = layer(c, RnnCell::new(inputs, hidden).bias(bias).activation(f))?;
    Ok(vec![cell.forward(c.x()?, c.named("h"))])
}

fn gru_cell(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let (inputs, hidden, bias) = sizes(c, 3)?;
    let cell = layer(c, GruCell::new(inputs, hidden).bias(bias))?;
    Ok(vec![cell.forward(c.x()?, c.named("h"))])
}

fn lstm_cell(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let (inputs, hidden, bias) = sizes(c, 4)?;
    let cell = layer(c, LstmCell::new(inputs, hidden).bias(bias))?;
    let next = cell.forward(c.x()?, state(c, "h", "c").as_ref());
    c.in_order(&[("h1", &next.h), ("c1", &next.c)])
}
