// SPDX-License-Identifier: Apache-2.0
// A C++ program that does nothing, linked as usual: what any process costs.
#include <iostream>

int main() {}
