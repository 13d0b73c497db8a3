//! Pools whose environments are numbers that own their places.

use super::*;

#[derive(Debug)]
struct Item(u32, #[expect(dead_code, reason = "held, not read")] Place<Item>);

fn limits(environments_max: usize, queue_max: usize) -> PoolLimits {
    PoolLimits { environments_max, queue_max, wait_max: Duration::from_millis(50) }
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
    capacity.expire(Instant::now() + Duration::from_secs(1));
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
    assert_eq!(capacity.places.available_permits(), 2);
}
