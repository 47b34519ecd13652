//! One load for all who ask for a key at the same time, whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kandela_runtime::cache::Cache;

fn cache() -> Cache<u8, u32> {
    Cache::builder("c", 100).build().expect("a size")
}

#[test]
fn threads_that_ask_at_once_share_one_load() {
    let (cache, loads) = (cache(), AtomicUsize::new(0));
    let load = |_: &u8| {
        loads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        Ok::<_, String>(7)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(cache.get_or_load_sync(1, load), Ok(7)));
        }
    });
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[test]
fn an_error_reaches_all_who_waited_and_the_next_asks_anew() {
    let (cache, loads) = (cache(), AtomicUsize::new(0));
    let load = |_: &u8| {
        let load = loads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        if load == 0 { Err("down".to_owned()) } else { Ok(7) }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(cache.get_or_load_sync(1, load), Err(Arc::new("down".to_owned()))));
        }
    });
    assert_eq!(cache.get_or_load_sync(1, load), Ok(7));
}

#[test]
fn where_a_load_panics_one_who_waits_takes_its_place() {
    let (cache, loads) = (cache(), AtomicUsize::new(0));
    let load = |_: &u8| {
        let load = loads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert!(load > 0, "the first load panics");
        Ok::<_, String>(7)
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| cache.get_or_load_sync(1, load))).collect();
        threads.into_iter().map(|thread| thread.join().ok()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(Ok(7))).count(), 3);
    assert_eq!(loads.load(Ordering::SeqCst), 2);
}

#[test]
fn a_load_that_asks_for_its_own_key_is_told_so_and_others_may_nest() {
    let cache = cache();
    let nested = cache.get_or_load_sync(1, |_| {
        cache.get_or_load_sync(2, |_| Ok::<_, String>(7)).map_err(|error| error.to_string())
    });
    assert_eq!(nested, Ok(7));
    let itself = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.get_or_load_sync(3, |_| {
            cache.get_or_load_sync(3, |_| Ok::<_, String>(7)).map_err(|error| error.to_string())
        })
    }));
    assert!(itself.is_err());
    assert_eq!(cache.get_or_load_sync(3, |_| Ok::<_, String>(8)), Ok(8));
}

#[tokio::test]
async fn tasks_that_ask_at_once_share_one_load() {
    let (cache, loads) = (cache(), AtomicUsize::new(0));
    let ask = || {
        cache.get_or_load(1, |_| async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, String>(7)
        })
    };
    assert_eq!(tokio::join!(ask(), ask(), ask()), (Ok(7), Ok(7), Ok(7)));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn where_a_load_is_cancelled_one_who_waits_takes_its_place() {
    let cache = cache();
    let for_ever = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load(1, |_| std::future::pending::<Result<u32, String>>()).await }
    });
    tokio::task::yield_now().await;
    let waits = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load(1, |_| async { Ok::<_, String>(7) }).await }
    });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    for_ever.abort();
    assert_eq!(waits.await.expect("nobody aborts it"), Ok(7));
}

#[tokio::test]
async fn one_who_waits_and_gives_up_disturbs_nobody() {
    let cache = cache();
    let (give, given) = tokio::sync::oneshot::channel::<u32>();
    let leads = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load(1, |_| async { given.await.map_err(|e| e.to_string()) }).await }
    });
    tokio::task::yield_now().await;
    let waits = cache.get_or_load(1, |_| async { Ok::<_, String>(8) });
    assert!(tokio::time::timeout(Duration::from_millis(20), waits).await.is_err());
    give.send(7).expect("somebody waits");
    assert_eq!(leads.await.expect("nobody aborts it"), Ok(7));
    assert_eq!(cache.get(&1), Some(7));
}
