//! The suite that every messenger unit must pass: with the unit itself, and with it behind HTTP.

mod world;

use std::sync::Arc;

use async_trait::async_trait;
use pirn_http::client::{self, Transport};
use pirn_http::server::{self, Context};
use pirn_mu::MessengerUnit;
use store::MemoryStore;
use tokio::net::TcpListener;
use unit::Messenger;
use unit::fakes::{FakeClock, FakeScheduler};
use unit::suite::MessengerGround;
use world::{World, settle};

struct Ground {
    world: World,
    unit: Arc<MessengerUnit>,
    messenger: Arc<dyn Messenger>,
}

#[async_trait]
impl MessengerGround for Ground {
    fn messenger(&self) -> Arc<dyn Messenger> {
        Arc::clone(&self.messenger)
    }

    fn scheduler(&self) -> Arc<FakeScheduler> {
        Arc::clone(&self.world.scheduler)
    }

    async fn settle(&self) {
        settle(&self.unit).await;
    }
}

async fn near() -> Ground {
    let world = World::new();
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    Ground { world, messenger: unit.clone(), unit }
}

async fn far() -> Ground {
    let near = near().await;
    let context = Context::new(FakeClock::at(1_700_000_000_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = server::serve(listener, server::mu::router(near.unit.clone(), context.clone()), &context);
    // Dropped, it would stop; it ends with the test.
    std::mem::forget(serving);
    let there = client::Messenger::new(&url, Transport::new(client::Options::default()).unwrap());
    Ground { messenger: Arc::new(there), ..near }
}

#[tokio::test(start_paused = true)]
async fn the_unit_passes() {
    unit::suite::messenger(async || near().await).await;
}

#[tokio::test]
async fn the_unit_behind_http_passes() {
    unit::suite::messenger(async || far().await).await;
}
