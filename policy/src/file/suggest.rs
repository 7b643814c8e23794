//! "Did you mean": the closest of the words that would have been right.

/// Names listed before the rest is only counted.
const MOST_LISTED: usize = 12;

/// The word that `wrong` most probably stands for: the same but for case, the only one it begins, or the one of least edit
/// distance (insertion, deletion, exchange, swap of neighbours) if that is at most a third of its length.
pub fn closest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).max(1);
    let mut begun: Vec<&str> = Vec::new();
    let mut best: Option<(usize, &str)> = None;
    for word in words {
        let lower = word.to_lowercase();
        if wrong.len() >= 3 && lower.starts_with(&wrong) {
            begun.push(word);
        }
        let distance = strsim::osa_distance(&wrong, &lower);
        if distance <= limit && distance < word.chars().count() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, word));
        }
    }
    match (best, begun.as_slice()) {
        (Some((_, word)), _) | (None, &[word]) => Some(word),
        _ => None,
    }
}

/// As a cure.
pub fn did_you_mean<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(wrong, words).map(|word| format!("did you mean `{word}`?"))
}

/// `a, b, c`.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let shown = words.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(MOST_LISTED) {
        0 if words.is_empty() => "none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
