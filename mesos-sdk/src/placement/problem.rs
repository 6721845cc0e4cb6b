//! The question, in numbers: what can be decided before anything is placed is
//! decided here, once for all demands that are alike.

use std::collections::{BTreeSet, HashMap};

use mesos_proto::v1;

use super::Placer;
use super::constraint::{Constraint, Field};
use super::demand::{Demand, Gpus, Port, Source, Wants};
use super::place::{self, Running};
use super::supply::{Keepsakes, Site, Survey};
use super::tally::{Rule, Tally, Value};

/// What equal instances want, except for their group.
#[derive(Debug)]
pub(super) struct Shape {
    /// Name of the scalar by number, thousandths, and where from.
    pub(super) scalars: Vec<(usize, i64, Taking)>,
    pub(super) ports: Vec<Port>,
    pub(super) fixed_ports: Vec<u16>,
    pub(super) ranged_ports: Vec<(u16, u16)>,
    pub(super) any_ports: u32,
    pub(super) source: Source,
    /// Where ports come from.
    pub(super) taking: Taking,
    pub(super) exact: Vec<v1::Resource>,
    pub(super) constraints: Vec<Constraint>,
    /// Which sites will do as far as nothing placed matters.
    pub(super) mask: usize,
    /// Whether agents with GPUs are out of reach.
    pub(super) shuns_gpus: bool,
    /// Whether agents of other regions are.
    pub(super) shuns_remote: bool,
    pub(super) role: Option<String>,
    pub(super) agents: Option<BTreeSet<String>>,
}

impl Shape {
    pub(super) fn is_labelled(&self) -> bool {
        matches!(self.source, Source::Labelled(_))
    }

    pub(super) fn wants_ports(&self) -> bool {
        !self.ports.is_empty()
    }
}

/// Where a quantity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Taking {
    Any,
    Reserved,
    Unreserved,
    Revocable,
}

/// Instances between which no constraint distinguishes.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) shape: usize,
    /// What of the group's tallies counts, and how.
    pub(super) counting: Vec<(usize, Rule)>,
    /// All tallies that one more instance is counted in.
    pub(super) counted_in: Vec<usize>,
    /// Whether the order in which the group is placed matters.
    pub(super) is_ordered: bool,
}

/// The sites where instances may go as far as nothing placed matters.
#[derive(Debug)]
pub(super) struct Mask {
    bits: Vec<u64>,
    /// The sites themselves, when they are few.
    pub(super) few: Option<Vec<usize>>,
    pub(super) count: usize,
}

/// So few that looking at each is faster than looking at the best of all.
const FEW: usize = 64;

impl Mask {
    fn new(sites: usize, admits: impl Fn(usize) -> bool) -> Self {
        let mut bits = vec![0_u64; sites.div_ceil(64)];
        let admitted: Vec<usize> = (0..sites).filter(|site| admits(*site)).collect();
        for site in &admitted {
            bits[site / 64] |= 1 << (site % 64);
        }
        Self {
            bits,
            count: admitted.len(),
            few: (admitted.len() <= FEW).then_some(admitted),
        }
    }

    pub(super) fn admits(&self, site: usize) -> bool {
        self.bits[site / 64] & (1 << (site % 64)) != 0
    }
}

/// A field that constraints look at, and its values.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) field: Field,
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The value of each site.
    pub(super) of_site: Vec<Value>,
}

impl Column {
    fn new(field: Field, sites: &[Site], offers: &[&v1::Offer]) -> Self {
        let mut column = Self {
            field,
            texts: Vec::new(),
            numbers: HashMap::new(),
            of_site: Vec::with_capacity(sites.len()),
        };
        for site in sites {
            let value = place::value(offers[site.offers[0]], &column.field);
            let number = value.map(|value| column.number(&value));
            column.of_site.push(number);
        }
        column
    }

    fn number(&mut self, value: &str) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("fewer values than agents");
        self.texts.push(value.to_owned());
        self.numbers.insert(value.to_owned(), number);
        number
    }

    fn text(&self, value: Value) -> Option<&str> {
        value.map(|number| self.texts[number as usize].as_str())
    }
}

/// A demand, in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) class: usize,
    /// Among whose instances agents are shared.
    pub(super) group: usize,
    pub(super) count: u32,
}

/// One call's question.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) names: Vec<String>,
    pub(super) sites: Vec<Site>,
    pub(super) shapes: Vec<Shape>,
    pub(super) classes: Vec<Class>,
    pub(super) masks: Vec<Mask>,
    pub(super) columns: Vec<Column>,
    pub(super) entries: Vec<Entry>,
    /// Each tally's column, and what runs already.
    pub(super) tallies: Vec<(usize, Tally)>,
    pub(super) groups: usize,
    /// Running instances of groups on agents that offer something.
    pub(super) on_agents: Vec<HashMap<usize, u32>>,
}

impl Problem {
    pub(super) fn new(
        placer: &Placer,
        offers: &[&v1::Offer],
        demands: &[Demand],
        running: &[Running],
    ) -> Self {
        let names = scalar_names(demands);
        let survey = Survey {
            names: &names,
            keepsakes: Keepsakes::new(&placer.label_keys, demands),
            home_region: placer.home_region.as_deref(),
            is_in_maintenance: &|unavailability| placer.is_in_maintenance(unavailability),
        };
        let sites = survey.sites(offers);
        let problem = Self {
            names,
            sites,
            shapes: Vec::new(),
            classes: Vec::new(),
            masks: Vec::new(),
            columns: Vec::new(),
            entries: Vec::with_capacity(demands.len()),
            tallies: Vec::new(),
            groups: 0,
            on_agents: Vec::new(),
        };
        Compiler {
            problem,
            placer,
            offers,
            demands,
            fields: HashMap::new(),
            mask_keys: HashMap::new(),
        }
        .compile(running)
    }
}

fn scalar_names(demands: &[Demand]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for demand in demands {
        for name in demand.wants.scalars.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names.sort_unstable();
    names
}

/// What a mask depends on.
#[derive(PartialEq, Eq, Hash)]
struct MaskKey<'d> {
    role: Option<&'d str>,
    agents: Option<&'d BTreeSet<String>>,
    shuns_gpus: bool,
    shuns_remote: bool,
    constraints: Vec<&'d Constraint>,
}

#[derive(Default)]
struct Group<'d> {
    name: &'d str,
    tallies: Vec<(usize, usize)>,
    is_ordered: bool,
    rules: Option<Vec<&'d Constraint>>,
}

struct Compiler<'a, 'd> {
    problem: Problem,
    placer: &'a Placer,
    offers: &'a [&'a v1::Offer],
    demands: &'d [Demand],
    fields: HashMap<Field, usize>,
    mask_keys: HashMap<MaskKey<'d>, usize>,
}

impl<'d> Compiler<'_, 'd> {
    #[expect(
        clippy::mutable_key_type,
        reason = "a pattern is compared and hashed by its text, which never changes"
    )]
    fn compile(mut self, running: &[Running]) -> Problem {
        let (groups, of_demand) = self.groups();
        let mut shapes: HashMap<&Wants, usize> = HashMap::new();
        let mut classes: HashMap<(usize, Option<usize>), usize> = HashMap::new();
        for (demand, group) in self.demands.iter().zip(of_demand) {
            let shape = match shapes.get(&demand.wants) {
                Some(shape) if demand.exact.is_empty() => *shape,
                _ => {
                    let shape = self.shape(demand);
                    if demand.exact.is_empty() {
                        shapes.insert(&demand.wants, shape);
                    }
                    shape
                }
            };
            let counted = (!groups[group].tallies.is_empty()).then_some(group);
            let class = *classes.entry((shape, counted)).or_insert_with(|| {
                let class = self.class(shape, demand, counted.map(|group| &groups[group]));
                self.problem.classes.push(class);
                self.problem.classes.len() - 1
            });
            self.problem.entries.push(Entry {
                class,
                group,
                count: demand.count,
            });
        }
        self.count_running(&groups, running);
        self.problem
    }

    /// The groups and what is counted in them, and the group of each demand.
    fn groups(&mut self) -> (Vec<Group<'d>>, Vec<usize>) {
        let mut groups: Vec<Group<'d>> = Vec::new();
        let mut numbers: HashMap<&str, usize> = HashMap::with_capacity(self.demands.len());
        let mut of_demand = Vec::with_capacity(self.demands.len());
        for demand in self.demands {
            let name = demand.group_name();
            let group = *numbers.entry(name).or_insert_with(|| {
                groups.push(Group {
                    name,
                    ..Group::default()
                });
                groups.len() - 1
            });
            of_demand.push(group);
            self.add_rules(&mut groups[group], &demand.wants.constraints);
        }
        self.problem.groups = groups.len();
        (groups, of_demand)
    }

    fn add_rules(&mut self, group: &mut Group<'d>, constraints: &'d [Constraint]) {
        let rules: Vec<&Constraint> = constraints
            .iter()
            .filter(|constraint| constraint.operator().counts())
            .collect();
        if group.rules.as_ref().is_some_and(|known| *known == rules) {
            return;
        }
        // Members that are bound differently may stand in each other's way in
        // one order and not in another.
        group.is_ordered |= group.rules.is_some();
        for constraint in &rules {
            let rule = Rule::of(constraint.operator());
            group.is_ordered |= matches!(rule, Some(Rule::GroupBy(_)));
            let column = self.column(constraint.field());
            if !group.tallies.iter().any(|(known, _)| *known == column) {
                let tally = self.problem.tallies.len();
                self.problem.tallies.push((column, Tally::default()));
                group.tallies.push((column, tally));
            }
        }
        group.rules.get_or_insert(rules);
    }

    fn column(&mut self, field: &Field) -> usize {
        if let Some(column) = self.fields.get(field) {
            return *column;
        }
        let column = Column::new(field.clone(), &self.problem.sites, self.offers);
        self.problem.columns.push(column);
        let number = self.problem.columns.len() - 1;
        self.fields.insert(field.clone(), number);
        number
    }

    fn shape(&mut self, demand: &'d Demand) -> usize {
        let wants = &demand.wants;
        let taking = match wants.source {
            Source::Any | Source::Labelled(_) => Taking::Any,
            Source::Reserved => Taking::Reserved,
            Source::Unreserved => Taking::Unreserved,
        };
        let number = |wanted: &String| {
            let names = &self.problem.names;
            names.binary_search(wanted).expect("it was collected")
        };
        let scalars = wants.scalars.iter().map(|(name, amount)| {
            let taking = match wants.revocable.contains(name) {
                true => Taking::Revocable,
                false => taking,
            };
            (number(name), amount.thousandths(), taking)
        });
        let scalars = scalars.collect();
        let gpus = wants.gpus.unwrap_or(self.placer.gpus);
        let wants_gpus = wants.scalars.contains_key("gpus") || !demand.exact.is_empty();
        let names_domain =
            |constraint: &Constraint| matches!(constraint.field(), Field::Region | Field::Zone);
        let shuns_gpus = gpus == Gpus::Restricted && !wants_gpus;
        let shuns_remote = !wants.constraints.iter().any(names_domain);
        let mask = self.mask(demand, shuns_gpus, shuns_remote);
        let fixed = wants.ports.iter().filter_map(|port| match port {
            Port::Fixed(port) => Some(*port),
            Port::Any | Port::Within(..) => None,
        });
        let ranged = wants.ports.iter().filter_map(|port| match port {
            Port::Within(first, last) => Some((*first, *last)),
            Port::Any | Port::Fixed(_) => None,
        });
        let any = wants.ports.iter().filter(|port| **port == Port::Any);
        self.problem.shapes.push(Shape {
            scalars,
            ports: wants.ports.clone(),
            fixed_ports: fixed.collect(),
            ranged_ports: ranged.collect(),
            any_ports: u32::try_from(any.count()).unwrap_or(u32::MAX),
            source: wants.source.clone(),
            taking,
            exact: demand.exact.clone(),
            constraints: wants.constraints.clone(),
            mask,
            shuns_gpus,
            shuns_remote,
            role: wants.role.clone(),
            agents: wants.agents.clone(),
        });
        self.problem.shapes.len() - 1
    }

    fn mask(&mut self, demand: &'d Demand, shuns_gpus: bool, shuns_remote: bool) -> usize {
        let wants = &demand.wants;
        let key = MaskKey {
            role: wants.role.as_deref(),
            agents: wants.agents.as_ref(),
            shuns_gpus,
            shuns_remote,
            // Those that count need a value, so they all say something here.
            constraints: wants.constraints.iter().collect(),
        };
        if let Some(mask) = self.mask_keys.get(&key) {
            return *mask;
        }
        let columns: Vec<usize> = key
            .constraints
            .iter()
            .map(|constraint| self.column(constraint.field()))
            .collect();
        let verdicts: Vec<(usize, Verdicts)> = columns
            .into_iter()
            .zip(&key.constraints)
            .map(|(column, constraint)| {
                let verdicts = Verdicts::new(&self.problem.columns[column], constraint);
                (column, verdicts)
            })
            .collect();
        let problem = &self.problem;
        let mask = Mask::new(problem.sites.len(), |number| {
            let site = &problem.sites[number];
            key.role.is_none_or(|role| role == site.role)
                && key
                    .agents
                    .is_none_or(|agents| agents.contains(&site.agent_id))
                && !site.is_in_maintenance
                && !(shuns_gpus && site.has_gpus)
                && !(shuns_remote && site.remote_region.is_some())
                && verdicts
                    .iter()
                    .all(|(column, verdicts)| verdicts.of(problem.columns[*column].of_site[number]))
        });
        self.problem.masks.push(mask);
        let number = self.problem.masks.len() - 1;
        self.mask_keys.insert(key, number);
        number
    }

    fn class(&self, shape: usize, demand: &Demand, group: Option<&Group<'_>>) -> Class {
        let tally = |field: &Field| {
            let column = self.fields[field];
            let tallies = group.map_or(&[][..], |group| &group.tallies);
            let tally = tallies.iter().find(|(known, _)| *known == column);
            tally.map(|(_, tally)| *tally)
        };
        let constraints = demand.wants.constraints.iter();
        let counting = constraints.filter_map(|constraint| {
            let rule = Rule::of(constraint.operator())?;
            Some((tally(constraint.field())?, rule))
        });
        Class {
            shape,
            counting: counting.collect(),
            counted_in: group
                .iter()
                .flat_map(|group| group.tallies.iter().map(|(_, tally)| *tally))
                .collect(),
            is_ordered: group.is_some_and(|group| group.is_ordered),
        }
    }

    fn count_running(&mut self, groups: &[Group<'_>], running: &[Running]) {
        self.problem.on_agents = vec![HashMap::new(); groups.len()];
        if running.is_empty() {
            return;
        }
        let numbers: HashMap<&str, usize> = groups
            .iter()
            .enumerate()
            .map(|(number, group)| (group.name, number))
            .collect();
        let sites = self.problem.sites.iter();
        let agents: HashMap<String, usize> = sites
            .map(|site| (site.agent_id.clone(), site.agent))
            .collect();
        for instance in running {
            let Some(number) = numbers.get(instance.group.as_str()) else {
                continue;
            };
            if let Some(agent) = agents.get(&instance.place.agent_id) {
                *self.problem.on_agents[*number].entry(*agent).or_default() += 1;
            }
            for (column, tally) in &groups[*number].tallies {
                let column = &mut self.problem.columns[*column];
                let value = instance.place.value(&column.field);
                let value = value.map(|value| column.number(&value));
                self.problem.tallies[*tally].1.add(value);
            }
        }
    }
}

/// What a constraint that does not count says of each value of its field.
struct Verdicts {
    of_value: Vec<bool>,
    of_none: bool,
}

impl Verdicts {
    fn new(column: &Column, constraint: &Constraint) -> Self {
        let operator = constraint.operator();
        let texts = column.texts.iter();
        Self {
            of_value: texts.map(|text| operator.accepts(Some(text))).collect(),
            of_none: operator.accepts(None),
        }
    }

    fn of(&self, value: Value) -> bool {
        match value {
            Some(value) => self.of_value[value as usize],
            None => self.of_none,
        }
    }
}

impl Problem {
    /// The value of a column at a site, as text.
    pub(super) fn text(&self, field: &Field, site: usize) -> Option<&str> {
        let column = self.columns.iter().find(|column| column.field == *field)?;
        column.text(column.of_site[site])
    }
}
