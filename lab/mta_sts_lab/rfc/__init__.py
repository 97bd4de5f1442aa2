"""Pure grammars and registries of the RFCs, without input or output, for every part that needs the same fact."""
