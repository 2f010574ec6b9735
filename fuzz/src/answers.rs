//! What a device says of a row: an error, or an answer that can be true.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::answer::{
    Answer, DecodeInfo, Decoding, Distribution, Logprobs, LogprobsBits, Sample, SampleBits, SampleParts,
    Status, TargetLogprob,
};

/// A record: how it is to be read, then its words.
pub fn answers(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    let is_sample = bool::arbitrary(u)?;
    let vocab = 1 + u32::from(u16::arbitrary(u)?);
    let listed = u.int_in_range(0..=4)?;
    let [flags, token] = [u8::arbitrary(u)?, u8::arbitrary(u)?];
    let target = Some(u32::from(token)).filter(|&token| flags & 1 != 0 && token < vocab);
    let draws = 1 + u32::from(flags >> 6);
    let info = DecodeInfo {
        seed: 7,
        stream: 1,
        position: 5,
        entry: 0,
        is_last: flags & 32 != 0,
        stops: (0, usize::from(token) % 2),
        is_verified: flags & 2 != 0,
        wants_raw: flags & 4 != 0,
        n_draws: 1 + u32::from(flags >> 4 & 3).min(draws - 1),
        entropy: flags & 8 != 0,
    };
    let mut decoding = Decoding::default();
    decoding.temperature = [1.0, 0.001, 1000.0, 0.7][usize::from(token) % 4];
    decoding.entropy = info.entropy;
    decoding.targets = vec![target];
    decoding.info = vec![info];
    decoding.stops = vec![u32::from(token)];
    let token_ids = u32::from(token) % 3;
    decoding.parts =
        SampleParts { draws, listed, top_raw: listed, token_ids, token_views: 1 + u32::from(flags & 1) };
    decoding.asked = vec![u32::from(token); token_ids as usize];
    if is_sample {
        let answer: Option<Sample> = answer(u, SampleBits::words(decoding.parts), vocab, &mut decoding)?;
        if let Some(sample) = answer {
            check_sample(&sample, vocab, info.n_draws);
        }
    } else {
        let answer: Option<Logprobs> =
            answer(u, LogprobsBits::words(listed, token_ids), vocab, &mut decoding)?;
        if let Some(logprobs) = answer {
            check(&logprobs.distribution, vocab);
            logprobs.target.iter().for_each(|target| check_target(target, vocab));
        }
    }
    Ok(())
}

/// The answer of so many words, if they can be true.
fn answer<T: Answer>(
    u: &mut Unstructured<'_>,
    words: usize,
    vocab: u32,
    decoding: &mut Decoding,
) -> Result<Option<T>> {
    let words: Vec<u32> = (0..words).map(|_| u32::arbitrary(u)).collect::<Result<_>>()?;
    let mut answer = T::empty();
    Ok(answer.read(0, &words, vocab, decoding).is_ok().then_some(answer))
}

fn check_sample(sample: &Sample, vocab: u32, draws: u32) {
    check(&sample.processed, vocab);
    sample.raw.iter().for_each(|raw| check(raw, vocab));
    let is_sound = sample.status == Status::Ok;
    assert_eq!(sample.draws.len(), if is_sound { draws as usize } else { 0 });
    for drawn in &sample.draws {
        assert!(drawn.token < vocab && drawn.logprob == drawn.processed.logprob, "{drawn:?}");
        check_target(&drawn.processed, vocab);
        drawn.raw.iter().for_each(|raw| check_target(raw, vocab));
    }
    if is_sound {
        assert!((1..=vocab).contains(&sample.kept), "{} kept", sample.kept);
        assert!((0.0..1.02).contains(&sample.kept_mass), "a mass of {}", sample.kept_mass);
        assert!(sample.temperature > 0.0, "a temperature of {}", sample.temperature);
    }
}

fn check(distribution: &Distribution, vocab: u32) {
    if distribution.status != Status::Ok {
        assert!(distribution.top_logprobs.is_empty(), "a list of nothing");
        assert!(distribution.token_logprobs.is_empty(), "tokens of nothing");
        return;
    }
    assert!(distribution.max.is_finite() && distribution.logsumexp.is_finite(), "{distribution:?}");
    for entry in &distribution.top_logprobs {
        assert!(entry.token < vocab && entry.logit <= distribution.max, "{entry:?}");
        assert!(entry.logprob <= 0.0, "{entry:?}");
    }
    distribution.token_logprobs.iter().for_each(|target| check_target(target, vocab));
}

fn check_target(target: &TargetLogprob, vocab: u32) {
    assert!(target.token < vocab && target.logprob <= 0.0, "{target:?}");
    assert!((1..=vocab).contains(&target.rank()), "{target:?}");
}
