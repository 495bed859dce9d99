//! Work spread over threads that live for one call; for our own crates, no promise of an interface that stays.

use std::panic::resume_unwind;
use std::thread::Builder;

/// `work` on every item, over at most `threads` threads (the caller's is one of them); the results
/// are in the order of the items. One thread, or one item, starts none. Where the system gives no
/// further thread, the caller's does that share.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let mut shares = items.chunks(share);
    let Some(own) = shares.next() else { return Vec::new() };
    let work = &work;
    std::thread::scope(|scope| {
        let all = move |share: &[T]| share.iter().map(work).collect::<Vec<R>>();
        let others: Vec<_> = shares
            .map(|share| Builder::new().spawn_scoped(scope, move || all(share)).map_err(|_| share))
            .collect();
        let mut results = all(own);
        for other in others {
            results.extend(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(share) => all(share),
            });
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::thread::current;

    proptest! {
        #[test]
        fn results_keep_their_order(items in prop::collection::vec(any::<u32>(), 0..40), threads in 0usize..9) {
            let doubled: Vec<u64> = items.iter().map(|item| u64::from(*item) * 2).collect();
            prop_assert_eq!(map(&items, threads, |item| u64::from(*item) * 2), doubled);
        }

        #[test]
        fn no_more_threads_than_asked_for(count in 0usize..40, threads in 1usize..9) {
            let ids = map(&vec![(); count], threads, |()| current().id());
            let different: HashSet<_> = ids.iter().collect();
            prop_assert!(different.len() <= threads);
            prop_assert!(threads > 1 || ids.iter().all(|id| *id == current().id()));
            prop_assert!(count < 2 || threads < 2 || different.len() > 1);
        }
    }
}
