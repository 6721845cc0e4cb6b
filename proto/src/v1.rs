//! The messages of Mesos's v1 API, made from the `.proto` files. What the APIs
//! share stands here, and each API has a module of its own.

include!(concat!(env!("OUT_DIR"), "/mesos.v1.rs"));

pub mod agent {
    //! The operator API of agents: what an operator asks of an agent.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.agent.rs"));
}

pub mod allocator {
    //! What frameworks answered to inverse offers.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.allocator.rs"));
}

pub mod executor {
    //! The executor API: what an executor asks of its agent, and what it is told.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.executor.rs"));
}

pub mod maintenance {
    //! Planned maintenance of machines.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.maintenance.rs"));
}

pub mod master {
    //! The operator API of masters: what an operator asks of a master, and the
    //! events of a cluster.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.master.rs"));
}

pub mod quota {
    //! What roles can have for certain, and at most.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.quota.rs"));
}

pub mod resource_provider {
    //! The resource provider API: what a provider of resources asks of its agent,
    //! and what it is told.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.resource_provider.rs"));
}

pub mod scheduler {
    //! The scheduler API: what a framework asks of a master, and what it is told.

    include!(concat!(env!("OUT_DIR"), "/mesos.v1.scheduler.rs"));
}
