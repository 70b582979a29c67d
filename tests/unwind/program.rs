// program - a Rust program to be interrupted anywhere: closures, iterators, panics, threads
use std::collections::HashMap;

fn deeper(n: u32, s: &mut String) -> usize {
    if n == 0 {
        return s.len();
    }
    s.push_str(&n.to_string());
    let v: Vec<u32> = (0..n).collect();
    v.iter().map(|x| *x as usize).sum::<usize>() + deeper(n - 1, s)
}

fn panics(n: u32) -> usize {
    if n == 0 {
        let empty: Vec<usize> = Vec::new();
        return empty[std::env::args().count()];
    }
    panics(n - 1) + 1
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let mut caught = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..rounds {
        let mut m: HashMap<String, usize> = HashMap::new();
        for i in 0..5000u32 {
            let mut s = String::new();
            let k = deeper(i % 30, &mut s);
            m.insert(s + &i.to_string(), k);
        }
        let sorting = std::thread::spawn(move || {
            let mut v: Vec<_> = m.into_iter().collect();
            v.sort();
            v.len()
        });
        for i in 0..200 {
            caught += std::panic::catch_unwind(|| panics(i % 30)).is_err() as usize;
        }
        caught += sorting.join().unwrap();
    }
    println!("{caught}");
}
