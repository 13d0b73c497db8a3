//! Pools whose environments are numbers that own their places.

use super::*;

#[derive(Debug)]
struct Item(u32, #[expect(dead_code, reason = "held, not read")] Place<Item>);

fn limits(environments_max: usize, queue_max: usize) -> PoolLimits {
    let (burst, provisioned, idle_max) = (1_000, 0, Duration::from_secs(60));
    PoolLimits { environments_max, burst, provisioned, idle_max, queue_max, wait_max: Duration::from_millis(50) }
}

async fn make(pool: &Arc<Pool<Item>>, number: u32) -> Item {
    match pool.take().await.unwrap() {
        Taken::Place(place) => Item(number, place),
        Taken::Idle(item) => panic!("expected a place, got idle {}", item.0),
    }
}

async fn idle(pool: &Arc<Pool<Item>>) -> Item {
    match pool.take().await.unwrap() {
        Taken::Idle(item) => item,
        Taken::Place(_) => panic!("expected an idle one"),
    }
}

#[tokio::test]
async fn the_last_one_given_back_is_used_first() {
    let pool = Pool::new(&Capacity::new(10), limits(10, 10));
    let (a, b) = (make(&pool, 1).await, make(&pool, 2).await);
    pool.give_back(a);
    pool.give_back(b);
    assert_eq!(idle(&pool).await.0, 2);
}

#[tokio::test]
async fn waiting_ends_when_one_is_given_back_or_discarded() {
    let pool = Pool::new(&Capacity::new(10), limits(1, 10));
    let item = make(&pool, 1).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { idle(&pool).await }
    });
    tokio::task::yield_now().await;
    pool.give_back(item);
    let item = waiting.await.unwrap();
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { make(&pool, 2).await }
    });
    tokio::task::yield_now().await;
    drop(item);
    assert_eq!(waiting.await.unwrap().0, 2);
}

#[tokio::test]
async fn the_queue_is_bounded_in_length_and_time() {
    let pool = Pool::new(&Capacity::new(10), limits(1, 1));
    let _item = make(&pool, 1).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.take().await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    assert_eq!(pool.take().await.unwrap_err(), Refused::QueueFull(1));
    assert_eq!(waiting.await.unwrap(), Err(Refused::Waited(Duration::from_millis(50))));
}

#[tokio::test]
async fn one_who_left_the_queue_is_skipped() {
    let pool = Pool::new(&Capacity::new(10), limits(1, 10));
    let item = make(&pool, 1).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.take().await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    waiting.abort();
    let _ = waiting.await;
    pool.give_back(item);
    assert_eq!(idle(&pool).await.0, 1);
}

#[tokio::test]
async fn a_full_pop_takes_the_longest_idle_environment_of_another_function() {
    let capacity = Capacity::new(2);
    let (one, other) = (Pool::new(&capacity, limits(10, 10)), Pool::new(&capacity, limits(10, 10)));
    let (a, b) = (make(&one, 1).await, make(&one, 2).await);
    one.give_back(a);
    one.give_back(b);
    let item = make(&other, 3).await;
    assert_eq!(item.0, 3);
    assert_eq!(idle(&one).await.0, 2);
}

#[tokio::test]
async fn a_full_pop_waits_for_a_place_of_another_function() {
    let capacity = Capacity::new(1);
    let (one, other) = (Pool::new(&capacity, limits(10, 10)), Pool::new(&capacity, limits(10, 10)));
    let busy = make(&one, 1).await;
    let waiting = tokio::spawn({
        let other = Arc::clone(&other);
        async move { make(&other, 2).await }
    });
    tokio::task::yield_now().await;
    drop(busy);
    assert_eq!(waiting.await.unwrap().0, 2);
}

#[tokio::test]
async fn idle_ones_expire_and_free_their_places() {
    let capacity = Capacity::new(1);
    let pool = Pool::new(&capacity, limits(1, 1));
    let item = make(&pool, 1).await;
    pool.give_back(item);
    capacity.expire(Instant::now() + Duration::from_secs(59));
    assert!(!pool.is_empty());
    capacity.expire(Instant::now() + Duration::from_secs(60));
    assert_eq!(make(&pool, 2).await.0, 2);
}

#[tokio::test]
async fn a_closed_pool_refuses_and_keeps_nothing() {
    let capacity = Capacity::new(2);
    let pool = Pool::new(&capacity, limits(2, 1));
    let (a, b) = (make(&pool, 1).await, make(&pool, 2).await);
    pool.give_back(a);
    pool.close();
    pool.give_back(b);
    assert_eq!(pool.take().await.unwrap_err(), Refused::Closed);
    assert_eq!(capacity.free(), 2);
}

#[tokio::test]
async fn environments_become_more_no_faster_than_the_burst() {
    let wait_max = Duration::from_secs(5);
    let pool = Pool::new(&Capacity::new(100), PoolLimits { burst: 20, wait_max, ..limits(100, 100) });
    let started = Instant::now();
    let makes = (0..23).map(|number| make(&pool, number));
    let made = futures_util::future::join_all(makes).await;
    let took = started.elapsed();
    // 20 at once, then one each half second.
    assert!(took >= Duration::from_millis(1_490), "{} in {took:?}", made.len());
}

#[tokio::test]
async fn one_given_back_serves_those_who_wait_for_the_burst() {
    let wait_max = Duration::from_secs(5);
    let pool = Pool::new(&Capacity::new(100), PoolLimits { burst: 1, wait_max, ..limits(100, 100) });
    let item = make(&pool, 1).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { idle(&pool).await }
    });
    tokio::task::yield_now().await;
    pool.give_back(item);
    assert_eq!(waiting.await.unwrap().0, 1);
}

#[tokio::test]
async fn without_idle_time_each_one_is_used_once() {
    let pool = Pool::new(&Capacity::new(1), PoolLimits { idle_max: Duration::ZERO, ..limits(1, 1) });
    let item = make(&pool, 1).await;
    pool.give_back(item);
    assert_eq!(make(&pool, 2).await.0, 2);
}

#[tokio::test]
async fn provisioned_ones_neither_expire_nor_are_evicted() {
    let capacity = Capacity::new(3);
    let pool = Pool::new(&capacity, PoolLimits { provisioned: 2, ..limits(3, 1) });
    while let Some(place) = pool.reserve().await {
        pool.put(Item(1, place));
    }
    assert_eq!(capacity.free(), 1);
    capacity.expire(Instant::now() + Duration::from_secs(3600));
    assert_eq!(capacity.free(), 1);
    let other = Pool::new(&capacity, limits(10, 10));
    let _third = make(&other, 3).await;
    assert!(matches!(other.take().await, Err(Refused::Waited(_))));
    assert_eq!(idle(&pool).await.0, 1);
}

#[tokio::test]
async fn the_end_of_a_provisioned_one_is_told_and_leaves_a_place() {
    let pool = Pool::new(&Capacity::new(3), PoolLimits { provisioned: 1, ..limits(3, 1) });
    let place = pool.reserve().await.unwrap();
    pool.put(Item(1, place));
    assert!(pool.reserve().await.is_none());
    pool.discard(|item| item.0 != 1);
    pool.shrunk().await;
    assert!(pool.reserve().await.is_some());
    pool.close();
    assert!(pool.reserve().await.is_none());
}
