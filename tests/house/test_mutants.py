"""The mistakes that `make mutants` puts in still fit the source: running them takes half an hour, and nobody would notice."""

import pytest

from tests.contract.mutants import MUTANTS, ROOT, STORE, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant):
    assert (ROOT / STORE / mutant.file).read_text("utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert (ROOT / mutant.caught_by).is_file()
