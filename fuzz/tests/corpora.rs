//! Every seed of every corpus, run once: without a fuzzer it is seen that the targets build and take their seeds.

use std::path::Path;

#[test]
fn seeds_are_taken() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in sortilege_fuzz::TARGETS {
        let folder = std::fs::read_dir(corpora.join(name)).expect(name);
        let seeds = folder.map(|entry| entry.expect("a seed").path());
        let count = seeds.map(|seed| target(&std::fs::read(seed).expect("readable"))).count();
        assert!(count > 0, "{name} has no seeds");
    }
}
