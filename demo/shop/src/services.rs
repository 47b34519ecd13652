//! The services of the shop, and the outside world that two of them depend on.
//!
//! ```text
//! gateway ─┬─ catalogue ── stock ── warehouse
//!          ├─ cart ─────── catalogue
//!          └─ checkout ─┬─ cart, stock
//!                       └─ queue ── payment ── bank
//! ```

mod cart;
mod catalogue;
mod checkout;
mod gateway;
mod outside;
mod payment;
mod stock;

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use rusqlite::Connection;

use crate::process::{Endpoints, Site};

pub(crate) use catalogue::{CATEGORIES, ITEMS, PAGES};

/// What a process of the shop may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Service {
    Gateway,
    Catalogue,
    Cart,
    Checkout,
    Payment,
    Stock,
    /// Stands in for a bank: slow, and worse when pressed.
    Bank,
    /// Stands in for a warehouse's old system.
    Warehouse,
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Service; 8] = [
        Service::Gateway,
        Service::Catalogue,
        Service::Cart,
        Service::Checkout,
        Service::Payment,
        Service::Stock,
        Service::Bank,
        Service::Warehouse,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Gateway => "gateway",
            Service::Catalogue => "catalogue",
            Service::Cart => "cart",
            Service::Checkout => "checkout",
            Service::Payment => "payment",
            Service::Stock => "stock",
            Service::Bank => "bank",
            Service::Warehouse => "warehouse",
        }
    }

    /// Whether it is not the shop's own: it has no knobs.
    pub(crate) fn is_outside(self) -> bool {
        matches!(self, Service::Bank | Service::Warehouse)
    }

    /// Whom it calls.
    pub(crate) fn downstreams(self) -> &'static [Service] {
        match self {
            Service::Gateway => &[Service::Catalogue, Service::Cart, Service::Checkout],
            Service::Catalogue => &[Service::Stock],
            Service::Cart => &[Service::Catalogue],
            Service::Checkout => &[Service::Cart, Service::Stock, Service::Payment],
            Service::Payment => &[Service::Bank],
            Service::Stock => &[Service::Warehouse],
            Service::Bank | Service::Warehouse => &[],
        }
    }

    pub(crate) fn build(self, site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
        match self {
            Service::Gateway => gateway::build(site, endpoints),
            Service::Catalogue => catalogue::build(site, endpoints),
            Service::Cart => cart::build(site, endpoints),
            Service::Checkout => checkout::build(site, endpoints),
            Service::Payment => payment::build(site, endpoints),
            Service::Stock => stock::build(site, endpoints),
            Service::Bank => outside::build_bank(endpoints),
            Service::Warehouse => outside::build_warehouse(endpoints),
        }
    }
}

/// Makes what a database lacks.
type Prepare = fn(&mut Connection) -> rusqlite::Result<()>;

/// Makes what the databases in `data` lack: done once, before several processes would do it at the same time.
pub(crate) fn prepare_databases(data: &Path) -> Result<()> {
    let prepare: [(&str, Prepare); 5] = [
        ("catalogue", catalogue::prepare),
        ("stock", stock::prepare),
        ("cart", cart::prepare),
        ("checkout", checkout::prepare),
        ("payment", payment::prepare),
    ];
    for (name, prepare) in prepare {
        let path = data.join(format!("{name}.db"));
        let made = Connection::open(&path).and_then(|mut connection| {
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            prepare(&mut connection)
        });
        made.with_context(|| format!("database {}", path.display()))?;
    }
    Ok(())
}
