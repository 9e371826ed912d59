//! Sequences of sequences.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Result, Rng, Scope, Tensor};

use super::{AttentionPool, Gru};

/// A recurrence over segments, and one over what each came to: words make a sentence, sentences a text.
///
/// ```text
/// [B, S, W, in] ── words: GRU both ways, attention ──▶ [B, S, 2 H] ── sentences: the same ──▶ [B, 2 H]
/// ```
///
/// A long sequence is `W + S` steps long so, not `W · S`, and so is the way of its gradient.
///
/// # Shapes
/// As drawn; parameters of `words` and `sentences` as those of a [`Gru`], of `word_pool` and `sentence_pool` as those of an
/// [`AttentionPool`]
/// # Source
/// Yang et al. 2016, "Hierarchical attention networks for document classification".
#[derive(Clone, Debug, Module)]
pub struct HierarchicalRnn {
    /// Over the steps of a segment.
    pub words: Gru,
    /// Makes one vector of a segment.
    pub word_pool: AttentionPool,
    /// Over segments.
    pub sentences: Gru,
    /// Makes one vector of all.
    pub sentence_pool: AttentionPool,
    inputs: usize,
}

/// How to make a [`HierarchicalRnn`].
#[derive(Clone, Debug)]
pub struct HierarchicalRnnConfig {
    inputs: usize,
    hidden: usize,
}

impl HierarchicalRnn {
    /// From `inputs` numbers a step, with states of `hidden` in each direction.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, hidden: usize) -> HierarchicalRnnConfig {
        HierarchicalRnnConfig { inputs, hidden }
    }

    /// Applies it. Lengths are those of every segment, 0 for those that there are not; without them all steps of all segments count.
    ///
    /// # Shapes
    /// `[B, S, W, in]`, lengths `[B, S]` of whole numbers → `[B, 2 H]`
    /// # Errors
    /// Other shapes than these.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, lengths: Option<&Tensor>) -> Tensor {
        let _scope = Scope::composite("hierarchical_rnn");
        if x.check().is_err() {
            return x.clone();
        }
        let &[batch, segments, steps, inputs] = x.shape() else { return self.unfit(x) };
        if inputs != self.inputs {
            return self.unfit(x);
        }
        let flat = x.reshape([batch * segments, steps, inputs]);
        let Some(lengths) = lengths else {
            let (words, _) = self.words.forward(&flat, None);
            let of_segments = self.word_pool.forward(&words, None).reshape((batch, segments, -1));
            let (states, _) = self.sentences.forward(&of_segments, None);
            return self.sentence_pool.forward(&states, None);
        };
        if lengths.check().is_err() {
            return lengths.clone();
        }
        if lengths.shape() != [batch, segments] || lengths.dtype().is_float() {
            let problem = format!("is no length for each segment: whole numbers [{batch}, {segments}]");
            return lengths.fail("hierarchical_rnn", ErrorKind::Shape { shape: lengths.shape().to_vec(), problem });
        }
        let flat_lengths = lengths.reshape([batch * segments]);
        let (words, _) = self.words.forward_packed(&flat, &flat_lengths, None);
        let taken = Tensor::arange(x.device(), steps).lt(flat_lengths.unsqueeze(1));
        let of_segments = self.word_pool.forward(&words, Some(&taken)).reshape((batch, segments, -1));
        // Up to the last segment that there is; those between that are empty take part in the recurrence, and give nothing.
        let there = lengths.gt(0);
        let last = there.where_(Tensor::arange(x.device(), segments) + 1, 0).amax(1);
        let (states, _) = self.sentences.forward_packed(&of_segments, &last, None);
        self.sentence_pool.forward(&states, Some(&there))
    }

    #[track_caller]
    fn unfit(&self, x: &Tensor) -> Tensor {
        let problem = format!("is not [batch, segments, steps, {}]", self.inputs);
        x.fail("hierarchical_rnn", ErrorKind::Shape { shape: x.shape().to_vec(), problem })
    }
}

impl HierarchicalRnnConfig {
    /// Draws the weights.
    ///
    /// # Errors
    /// No inputs, no units; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<HierarchicalRnn> {
        let HierarchicalRnnConfig { inputs, hidden } = self;
        let gru = |inputs: usize| Gru::new(inputs, hidden).bidirectional(true).batch_first(true);
        let both = hidden.saturating_mul(2);
        Ok(HierarchicalRnn {
            words: gru(inputs).init(device, rng)?,
            word_pool: AttentionPool::new(both, both).init(device, rng)?,
            sentences: gru(both).init(device, rng)?,
            sentence_pool: AttentionPool::new(both, both).init(device, rng)?,
            inputs,
        })
    }
}
