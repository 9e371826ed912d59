//! Data sets made of data sets: the items of each.

use thalweg_graph::Result;

use crate::{
    adapters::{Chain, Map, Subset, TryMap, Zip},
    dataset::Dataset,
    place::out_of_range,
};

impl<D: Dataset, T, F: Fn(D::Item) -> T + Send + Sync> Dataset for Map<D, F> {
    type Item = T;

    fn len(&self) -> usize {
        self.data.len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<T> {
        Ok((self.f)(self.data.item(index)?))
    }
}

impl<D: Dataset, T, F: Fn(D::Item) -> Result<T> + Send + Sync> Dataset for TryMap<D, F> {
    type Item = T;

    fn len(&self) -> usize {
        self.data.len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<T> {
        (self.f)(self.data.item(index)?)
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<D::Item> {
        match self.indices.get(index) {
            Some(index) => self.data.item(*index),
            None => Err(out_of_range(index, self.indices.len())),
        }
    }
}

impl<A: Dataset, B: Dataset<Item = A::Item>> Dataset for Chain<A, B> {
    type Item = A::Item;

    fn len(&self) -> usize {
        self.first.len().saturating_add(self.second.len())
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<A::Item> {
        match index.checked_sub(self.first.len()) {
            None => self.first.item(index),
            Some(index) if index < self.second.len() => self.second.item(index),
            Some(_) => Err(out_of_range(index, self.len())),
        }
    }
}

impl<A: Dataset, B: Dataset> Dataset for Zip<A, B> {
    type Item = (A::Item, B::Item);

    fn len(&self) -> usize {
        self.a.len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<Self::Item> {
        Ok((self.a.item(index)?, self.b.item(index)?))
    }
}

#[cfg(test)]
mod tests {
    use thalweg_graph::{Error, ErrorKind};

    use super::*;

    fn all<D: Dataset>(data: &D) -> Vec<D::Item> {
        (0..data.len()).map(|i| data.item(i).unwrap()).collect()
    }

    #[test]
    fn give_the_items_they_are_made_of() {
        let ten: Vec<i32> = (0..10).collect();
        assert_eq!(all(&ten.clone().map(|x| x * x)), [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
        assert_eq!(all(&ten.clone().subset([7, 0, 7]).unwrap()), [7, 0, 7]);
        assert_eq!(all(&ten.clone().subset([7, 0, 5]).unwrap().subset([2]).unwrap()), [5]);
        assert_eq!(all(&vec![1].chain(vec![]).chain(vec![2, 3])), [1, 2, 3]);
        assert_eq!(all(&vec![1, 2].zip(vec!['a', 'b']).unwrap()), [(1, 'a'), (2, 'b')]);
        assert!(all(&Vec::<u8>::new().chain(vec![])).is_empty());
    }

    #[test]
    fn a_map_that_fails_gives_its_error() {
        let odd = vec![1, 2].try_map(|x| match x % 2 {
            1 => Ok(x),
            _ => Err(Error::new("odd", ErrorKind::Invalid(format!("{x} is even")))),
        });
        assert_eq!(odd.item(0), Ok(1));
        assert!(odd.item(1).unwrap_err().to_string().starts_with("odd: 2 is even"));
    }

    #[test]
    fn what_is_out_of_range_is_an_error_of_the_caller() {
        let ten: Vec<i32> = (0..10).collect();
        let errors = [
            (ten.clone().map(|x| x).item(10).unwrap_err(), line!()),
            (ten.clone().try_map(Ok).item(10).unwrap_err(), line!()),
            (ten.clone().subset([0]).unwrap().item(1).unwrap_err(), line!()),
            (ten.clone().subset([0, 10]).unwrap_err(), line!()),
            (ten.clone().chain(ten.clone()).item(20).unwrap_err(), line!()),
            (ten.clone().zip(ten.clone()).unwrap().item(10).unwrap_err(), line!()),
            (ten.clone().zip(vec![0]).unwrap_err(), line!()),
        ];
        for (error, line) in errors {
            assert_eq!((error.location().file(), error.location().line()), (file!(), line), "{error}");
        }
        let error = ten.clone().zip(vec![0]).unwrap_err().to_string();
        assert!(error.starts_with("zip: shapes [10] and [1] are the lengths of data sets"), "{error}");
        let error = ten.clone().chain(ten).item(20).unwrap_err().to_string();
        assert!(error.contains("index 20 is out of range for axis 0 of extent 20"), "{error}");
    }
}
