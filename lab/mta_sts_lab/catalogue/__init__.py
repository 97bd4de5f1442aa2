"""The catalogue: scenario files, read strictly, expanded to cases and checked for expectations that prove nothing."""

from mta_sts_lab.catalogue.catalogue import Catalogue, NothingSelected, digest_of, load_catalogue, read_catalogue
from mta_sts_lab.catalogue.problems import CatalogueError, Problem

__all__ = ["Catalogue", "CatalogueError", "NothingSelected", "Problem", "digest_of", "load_catalogue", "read_catalogue"]
