//! Which nodes of a directed graph can reach each other, in time linear in its edges and without recursion.

/// A directed graph: for each node the nodes that it leads to.
pub(super) type Graph = Vec<Vec<usize>>;

/// Two nodes with the same number lead to each other, over others or at once (Tarjan's strongly connected components).
pub(super) fn circles(graph: &Graph) -> Vec<usize> {
    let mut search = Search {
        graph,
        met: vec![None; graph.len()],
        low: vec![0; graph.len()],
        circle: vec![None; graph.len()],
        open: Vec::new(),
        clock: 0,
        circles: 0,
    };
    for node in 0..graph.len() {
        if search.met[node].is_none() {
            search.from(node);
        }
    }
    search.circle.into_iter().flatten().collect()
}

struct Search<'g> {
    graph: &'g Graph,
    /// When each node was met first.
    met: Vec<Option<usize>>,
    /// When the earliest node that it leads back to was met.
    low: Vec<usize>,
    /// The number of the circle that it is in, once that is whole.
    circle: Vec<Option<usize>>,
    /// Nodes whose circles are not whole.
    open: Vec<usize>,
    clock: usize,
    circles: usize,
}

impl Search<'_> {
    fn from(&mut self, root: usize) {
        // The way from the root, each node with how many of its edges were followed.
        let mut way = vec![(root, 0)];
        self.meet(root);
        while let Some((node, followed)) = way.last_mut() {
            let node = *node;
            if let Some(&next) = self.graph[node].get(*followed) {
                *followed += 1;
                match self.met[next] {
                    None => {
                        self.meet(next);
                        way.push((next, 0));
                    }
                    Some(met) if self.circle[next].is_none() => {
                        self.low[node] = self.low[node].min(met);
                    }
                    Some(_) => {}
                }
                continue;
            }
            way.pop();
            if let Some((before, _)) = way.last() {
                self.low[*before] = self.low[*before].min(self.low[node]);
            }
            if self.met[node] == Some(self.low[node]) {
                self.close(node);
            }
        }
    }

    fn meet(&mut self, node: usize) {
        self.met[node] = Some(self.clock);
        self.low[node] = self.clock;
        self.clock += 1;
        self.open.push(node);
    }

    /// What was met since `first`, and is open, is its circle.
    fn close(&mut self, first: usize) {
        while let Some(node) = self.open.pop() {
            self.circle[node] = Some(self.circles);
            if node == first {
                break;
            }
        }
        self.circles += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By following every way from every node.
    fn reaches(graph: &Graph, from: usize, to: usize) -> bool {
        let (mut seen, mut next) = (vec![false; graph.len()], vec![from]);
        while let Some(node) = next.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                next.extend(&graph[node]);
            }
        }
        seen[to]
    }

    proptest! {
        #[test]
        fn nodes_of_one_circle_reach_each_other_and_no_others_do(
            graph in (1_usize..12).prop_flat_map(|nodes| {
                prop::collection::vec(prop::collection::vec(0..nodes, 0..4), nodes)
            })
        ) {
            let circles = circles(&graph);
            prop_assert_eq!(circles.len(), graph.len());
            for (a, in_a) in circles.iter().enumerate() {
                for (b, in_b) in circles.iter().enumerate() {
                    let mutual = reaches(&graph, a, b) && reaches(&graph, b, a);
                    prop_assert_eq!(in_a == in_b, mutual, "{} and {}", a, b);
                }
            }
        }
    }

    #[test]
    fn a_long_way_takes_no_stack() {
        let nodes = 200_000;
        let mut graph: Graph = (1..nodes).map(|next| vec![next]).collect();
        graph.push(vec![0]);
        assert!(circles(&graph).iter().all(|circle| *circle == 0));
    }
}
